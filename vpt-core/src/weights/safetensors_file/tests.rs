use proptest::prelude::*;

use super::*;

fn sample() -> SafetensorsFile {
    let tensors = BTreeMap::from([
        (
            "b.weight".to_owned(),
            HostTensor::new([2, 3], vec![0.5, -1.0, 2.0, 3.25, 1e-3, -0.0]),
        ),
        ("a".to_owned(), HostTensor::new([0, 4], vec![])),
        ("c".to_owned(), HostTensor::new(vec![], vec![7.0])),
    ]);
    SafetensorsFile {
        tensors,
        metadata: BTreeMap::from([("vpt".to_owned(), "{}".to_owned())]),
    }
}

fn written(file: &SafetensorsFile, stored: StoredFloat) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.write(&mut bytes, stored).unwrap();
    bytes
}

fn parse(bytes: &[u8]) -> Result<SafetensorsFile, CoreError> {
    SafetensorsFile::parse(Path::new("some.safetensors"), bytes)
}

fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Reading must fail with an error that names the file and contains `part`.
fn refused(bytes: &[u8], part: &str) {
    let error = parse(bytes).expect_err("must be refused").to_string();
    assert!(
        error.contains("some.safetensors") && error.contains(part),
        "{error}"
    );
}

#[test]
fn round_trip_is_bit_exact_and_deterministic() {
    let file = sample();
    let bytes = written(&file, StoredFloat::F32);
    assert_eq!(bytes, written(&sample(), StoredFloat::F32));
    let views = file.tensors.iter().map(|(name, tensor)| {
        let bytes = tensor.f32_bytes().leak();
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    let metadata = file.metadata.clone().into_iter().collect();
    assert_eq!(bytes, safetensors::serialize(views, Some(metadata)).unwrap());
    let back = parse(&bytes).unwrap();
    assert_eq!(back, file);
    assert_eq!(
        back.tensors["b.weight"].f32_bytes(),
        file.tensors["b.weight"].f32_bytes()
    );
}

#[test]
fn half_takes_half_the_bytes_and_rounds() {
    let back = parse(&written(&sample(), StoredFloat::F16)).unwrap();
    assert_eq!(
        back.tensors["b.weight"],
        sample().tensors["b.weight"].rounded_to_half()
    );
    let mut file = sample();
    file.tensors.insert("big".into(), HostTensor::new([1], vec![1e6]));
    let mut out = Vec::new();
    assert_eq!(
        file.write(&mut out, StoredFloat::F16).unwrap_err().to_string(),
        "tensor `big` holds values that are not finite as F16"
    );
}

#[test]
fn bfloat16_is_widened_exactly() {
    let bytes = with_header(
        r#"{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#,
        &[0x80, 0x3f, 0x49, 0xc0],
    );
    assert_eq!(parse(&bytes).unwrap().tensors["x"].data, [1.0, -3.140625]);
}

#[test]
fn damaged_and_hostile_files_are_refused() {
    let bytes = written(&sample(), StoredFloat::F32);
    for cut in [0, 1, 7, 8, 20, bytes.len() - 1] {
        refused(&bytes[..cut], "not a readable safetensors file");
    }
    refused(
        b"\x89PNG\r\n\x1a\n0000000000000000000000000000",
        "header too large",
    );
    refused(&u64::MAX.to_le_bytes(), "header");
    refused(
        &[&(1u64 << 26).to_le_bytes()[..], b"{}"].concat(),
        "invalid header length",
    );
    refused(&with_header("{\"a\":", &[]), "invalid JSON");
    refused(&[&2u64.to_le_bytes()[..], &[0xff, 0xfe]].concat(), "UTF-8");
    let two = |a: &str, b: &str| {
        format!(
            r#"{{"{a}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},"{b}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#
        )
    };
    refused(&with_header(&two("a", "b"), &[0; 4]), "invalid offset");
    refused(&with_header(&two("a", "a"), &[0; 4]), "tensor `a` occurs twice");
    let one = |dtype: &str, shape: &str, end: usize| {
        format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    refused(
        &with_header(&one("F32", "[4294967296,4294967296]", 4), &[0; 4]),
        "overflow",
    );
    refused(
        &with_header(&one("F32", "[1000000000]", 4), &[0; 4]),
        "invalid shape",
    );
    refused(&with_header(&one("F32", "[1]", 4), &[0; 8]), "not fully covered");
    refused(
        &with_header(&one("F8_E5M2", "[1]", 1), &[0; 1]),
        "tensor `x` has type F8_E5M2, expected F32, F16 or BF16",
    );
    // The `position_ids` of CLIP and the indices of BEiT are no parameters.
    let indices = with_header(&one("I64", "[1]", 8), &[0; 8]);
    let file = SafetensorsFile::parse(Path::new("a"), &indices).unwrap();
    assert!(file.tensors.is_empty());
    refused(
        &with_header(&one("F32", "[1]", 4), &f32::NAN.to_le_bytes()),
        "tensor `x` holds values that are not finite",
    );
}

proptest! {
    #[test]
    fn changed_bytes_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = written(&sample(), StoredFloat::F32);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = parse(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }
}
