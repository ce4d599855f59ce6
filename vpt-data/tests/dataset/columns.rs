//! Columns of tables beyond file and class: what they mean, and by which names.

use crate::manifest::{SPLIT, Table};
use vpt_data::{ColumnNames, Dataset, OpenOptions, Sample};

#[test]
fn other_columns_are_kept() {
    let dataset = Table::new("pets.csv", SPLIT).open().unwrap();
    assert_eq!(dataset.columns, ["age"]);
    let ages: Vec<&str> = dataset
        .train
        .iter()
        .map(|sample| sample.columns[0].as_str())
        .collect();
    assert_eq!(ages, ["3", ""]);
    let folds = Table::new(
        "t.csv",
        "path,label,scanner\na/1.png,x,A\na/2.png,x,B\nb/3.png,y,A\nb/4.png,y,B\n5.png,x,A\n6.png,y,C\n",
    );
    let folds = folds.open().unwrap().folds(2, 0.0, 1).unwrap();
    assert_eq!(folds[0].columns, ["scanner"]);
    assert!(folds[0].test.iter().all(|sample| sample.columns.len() == 1));
}

#[test]
fn images_count_by_their_weight() {
    let text =
        "path,label,split,Sample Weight,age\na/1.png,x,train,0.5,3\na/2.png,y,train,2,4\nb/3.png,x,val,1,5\n";
    let table = Table::new("t.csv", text);
    let dataset = table.open().unwrap();
    let weights = |samples: &[Sample]| -> Vec<f32> { samples.iter().map(|s| s.weight.get()).collect() };
    assert_eq!(
        (weights(&dataset.train), weights(&dataset.val)),
        (vec![0.5, 2.0], vec![1.0])
    );
    assert_eq!(dataset.columns, ["age"]);
    let note = "images count 0.5 to 2 in the training loss by the column `Sample Weight`, and once each in evaluation";
    assert!(
        dataset.notes.iter().any(|found| found == note),
        "{:?}",
        dataset.notes
    );
    // The fingerprint is that of the images, until weights are anything else than 1.
    let fingerprint = |text: &str| Table::new("t.csv", text).open().unwrap().fingerprint().unwrap();
    let even = text.replace("0.5", "1").replace(",2,", ",1,");
    assert_eq!(
        fingerprint(&even),
        fingerprint(&text.replace("Sample Weight", "kilos"))
    );
    assert_ne!(fingerprint(&even), fingerprint(text));
    for wrong in ["-1", "0", "NaN", "inf", "1e99", "heavy", ""] {
        let error = Table::new("t.csv", text.replace(",2,", &format!(",{wrong},"))).error();
        let expected = match wrong {
            "" => "ROOT/t.csv:3: the weight is empty".to_owned(),
            _ => format!("ROOT/t.csv:3: the weight is `{wrong}`, expected a positive number such as 0.5"),
        };
        assert_eq!(error, expected);
    }
    let twice = format!("{text}a/1.png,x,train,0.7,3\n");
    assert_eq!(
        Table::new("t.csv", twice).error(),
        "ROOT/t.csv:5: `a/1.png` stands in line 2 with another label, split, group or weight"
    );
}

/// A weight may be that of a patient, in kilograms.
#[test]
fn columns_that_are_not_what_they_are_called() {
    let text = "path,label,weight,dose\na/1.png,x,82,0.5\na/2.png,y,55,2\nb/3.png,x,,3\nb/4.png,y,61,4\n5.png,x,61,5\n6.png,y,61,6\n";
    let table = Table::new("t.csv", text);
    let open = |weight: &str| {
        let options = OpenOptions {
            columns: ColumnNames {
                weight: Some(weight.to_owned()),
                ..ColumnNames::default()
            },
            ..OpenOptions::default()
        };
        Dataset::open(&table.folder.path().join(table.name), &options)
    };
    let none = open("none").unwrap();
    assert_eq!(none.columns, ["weight", "dose"]);
    assert!(none.train.iter().all(|sample| sample.weight.is_one()));
    let dose = open("dose").unwrap();
    assert_eq!(dose.columns, ["weight"]);
    assert!(dose.train.iter().any(|sample| !sample.weight.is_one()));
    let (message, _) = table.folder.explain(&open("kilos").unwrap_err());
    assert_eq!(
        message,
        "ROOT/t.csv:1: no column `kilos`, found `path`, `label`, `weight`, `dose`"
    );
}

#[test]
fn columns_of_any_name() {
    let text = "Bild,Befund,label,Fall\na/1.png,gesund,1,p1\na/2.png,krank,2,p2\nb/3.png,gesund,3,p3\nb/4.png,krank,4,p4\n5.png,gesund,5,p5\n6.png,krank,6,p6\n";
    let table = Table::new("bilder.csv", text);
    let open = |label: &str| {
        let name = |name: &str| Some(name.to_owned());
        let options = OpenOptions {
            columns: ColumnNames {
                path: name("Bild"),
                label: name(label),
                group: name("Fall"),
                ..ColumnNames::default()
            },
            ..OpenOptions::default()
        };
        Dataset::open(&table.folder.path().join(table.name), &options)
    };
    let dataset = open("Befund").unwrap();
    assert_eq!(dataset.classes, ["gesund", "krank"]);
    assert_eq!(dataset.columns, ["label"]);
    assert!(dataset.train.iter().all(|sample| sample.group.is_some()));
    let (message, _) = table.folder.explain(&open("befund").unwrap_err());
    assert!(
        message.ends_with("bilder.csv:1: no column `befund`, found `Bild`, `Befund`, `label`, `Fall`"),
        "{message}"
    );
}
