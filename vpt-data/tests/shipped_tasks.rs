//! The task files in `datasets/`, and the scripts that prepare their data.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::path::{Path, PathBuf};
use vpt_data::{TaskKind, TaskSpec};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_task_file_loads() {
    let folder = repository().join("datasets");
    let names = TaskSpec::list(std::slice::from_ref(&folder));
    assert!(names.len() >= 40, "{names:?}");
    for name in names {
        let task = TaskSpec::load(&folder.join(format!("{name}.toml"))).unwrap();
        assert_eq!(task.name, name);
        assert!(
            task.licence.is_some() && task.description.is_some() && task.metric.is_some(),
            "{name}"
        );
        // `qwk` is for grades in an order, `auroc` chooses between two classes here.
        if task.kind == Some(TaskKind::MultiLabel) {
            assert_eq!(task.metric.as_deref(), Some("auroc"), "{name}");
            continue;
        }
        match (task.metric.as_deref(), task.classes.as_ref().map(Vec::len)) {
            (Some("qwk"), Some(classes)) => assert!(classes > 2, "{name}"),
            (Some("auroc"), Some(classes)) => assert_eq!(classes, 2, "{name}"),
            (Some("auroc" | "balanced_accuracy" | "top1"), _) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[cfg(unix)]
mod scripts {
    use super::repository;
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Output};
    use tempfile::TempDir;
    use vpt_data::{Dataset, Label, OpenOptions, TaskKind};

    fn run(script: &str, argument: &Path) -> Output {
        Command::new("bash")
            .arg(repository().join("scripts").join(script))
            .arg(argument)
            .output()
            .unwrap()
    }

    /// Writes files, images by their ending, and runs a script on their folder.
    fn prepare(script: &str, files: &[(&str, &str)]) -> (TempDir, Output) {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if path.extension().is_some_and(|extension| extension == "csv") {
                fs::write(path, text).unwrap();
            } else {
                image::RgbImage::new(8, 8).save(path).unwrap();
            }
        }
        let output = run(script, folder.path());
        (folder, output)
    }

    fn opened(script: &str, files: &[(&str, &str)]) -> Dataset {
        let (folder, output) = prepare(script, files);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let options = OpenOptions {
            val_fraction: 0.0,
            test_fraction: 0.0,
            ..OpenOptions::default()
        };
        Dataset::open(&folder.path().join("manifest.csv"), &options).unwrap()
    }

    fn groups(dataset: &Dataset) -> Vec<&str> {
        dataset
            .train
            .iter()
            .filter_map(|sample| sample.group.as_deref())
            .collect()
    }

    #[test]
    fn eyepacs() {
        let labels = "image,level\r\n10_left,0\r\n10_right,0\r\n13_left,4\r\n";
        let images =
            ["train/10_left.jpeg", "train/10_right.jpeg", "train/13_left.jpeg"].map(|name| (name, ""));
        let files = [&[("trainLabels.csv", labels)], &images[..]].concat();
        let dataset = opened("prepare-eyepacs.sh", &files);
        assert_eq!(dataset.classes, ["0", "4"]);
        assert_eq!(groups(&dataset), ["10", "10", "13"]);
        assert_eq!(dataset.columns, ["eye"]);
    }

    #[test]
    fn aptos() {
        let files = [
            ("train.csv", "id_code,diagnosis\nab,2\ncd,0\n"),
            ("train_images/ab.png", ""),
            ("train_images/cd.png", ""),
        ];
        assert_eq!(opened("prepare-aptos.sh", &files).classes, ["0", "2"]);
    }

    #[test]
    fn isic() {
        let labels = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\nISIC_1,0.0,1.0,0.0,0.0,0.0,0.0,0.0\nISIC_2,1.0,0.0,0.0,0.0,0.0,0.0,0.0\n";
        let lesions = "image,lesion_id,diagnosis_confirm_type\nISIC_1,HAM_7,histopathology\n";
        let files = [
            (
                "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv",
                labels,
            ),
            ("ISIC2018_Task3_Training_LesionGroupings.csv", lesions),
            ("ISIC2018_Task3_Training_Input/ISIC_1.jpg", ""),
            ("ISIC2018_Task3_Training_Input/ISIC_2.jpg", ""),
        ];
        let dataset = opened("prepare-isic2018.sh", &files);
        assert_eq!(dataset.classes, ["MEL", "NV"]);
        assert_eq!(groups(&dataset), ["HAM_7", "ISIC_2"]);
        assert_eq!(
            opened("prepare-isic2018.sh", &[&files[..1], &files[2..]].concat()).classes,
            ["MEL", "NV"]
        );
    }

    #[test]
    fn chest_xray14() {
        let labels = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\r\n\
            1_000.png,Cardiomegaly|Emphysema,0,1,58,M,PA,2682,2749,0.143,0.143,\r\n\
            1_001.png,No Finding,1,1,58,M,PA,2894,2729,0.143,0.143,\r\n\
            2_000.png,Emphysema,0,2,81,M,AP,2500,2048,0.171,0.171,\r\n\
            3_000.png,Hernia,0,3,81,F,PA,2582,2991,0.143,0.143,\r\n";
        let files = [
            ("Data_Entry_2017.csv", labels),
            ("images_001/images/1_000.png", ""),
            ("images_001/images/1_001.png", ""),
            ("images_002/images/2_000.png", ""),
        ];
        let (folder, output) = prepare("prepare-chest-xray14.sh", &files);
        assert_eq!(output.status.code(), Some(1), "without the list of test images");
        fs::write(folder.path().join("test_list.txt"), "2_000.png\r\n").unwrap();
        let output = run("prepare-chest-xray14.sh", folder.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains("left out 1 images"),
            "{said}"
        );
        let options = OpenOptions {
            val_fraction: 0.0,
            ..OpenOptions::default()
        };
        let dataset = Dataset::open(&folder.path().join("manifest.csv"), &options).unwrap();
        assert_eq!(dataset.kind, TaskKind::MultiLabel);
        assert_eq!(dataset.classes, ["Cardiomegaly", "Emphysema"]);
        assert_eq!(groups(&dataset), ["1", "1"]);
        assert_eq!(dataset.train[1].label, Label::many([]));
        assert_eq!(dataset.test[0].label, Label::many([1]));
        assert_eq!(dataset.columns, ["age", "sex", "view"]);
    }

    #[test]
    fn chexpert() {
        let header = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices\n";
        let row =
            |path: &str, labels: &str| format!("CheXpert-v1.0-small/{path},Female,68,Frontal,AP,{labels}\n");
        let train = header.to_owned()
            + &row(
                "train/patient00001/study1/view1_frontal.jpg",
                "1.0,,,,,,,,,0.0,,,,",
            )
            + &row(
                "train/patient00002/study2/view1_frontal.jpg",
                ",,-1.0,1.0,,-1.0,,,,,1.0,,,1.0",
            )
            + &row("train/patient00002/study1/view1_frontal.jpg", ",,,1.0,,,,,,,,,,");
        let valid = header.to_owned()
            + &row(
                "valid/patient64541/study1/view1_frontal.jpg",
                "0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0",
            );
        let files = [
            ("train.csv", train.as_str()),
            ("valid.csv", &valid),
            ("train/patient00001/study1/view1_frontal.jpg", ""),
            ("train/patient00002/study2/view1_frontal.jpg", ""),
            ("train/patient00002/study1/view1_frontal.jpg", ""),
            ("valid/patient64541/study1/view1_frontal.jpg", ""),
        ];
        let dataset = opened("prepare-chexpert.sh", &files);
        assert_eq!(dataset.kind, TaskKind::MultiLabel);
        assert_eq!(
            dataset.classes,
            ["Lung Opacity", "Pleural Effusion", "Support Devices"]
        );
        assert_eq!(groups(&dataset), ["patient00001", "patient00002", "patient00002"]);
        assert_eq!(dataset.train[0].label, Label::many([]));
        assert_eq!(dataset.train[1].label, Label::many([0, 1, 2]));
        assert_eq!(dataset.test[0].label, Label::many([0]));
    }

    /// Writes an array of bytes as HDF5, in which PatchCamelyon is published.
    fn write_hdf5(folder: &Path, name: &str, array: &str, shape: &[usize], values: &[u8]) {
        let [raw, description, file] = ["raw", "description", name].map(|name| folder.join(name));
        fs::write(&raw, values).unwrap();
        let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
        let text = format!(
            "PATH {array}\nINPUT-CLASS UIN\nINPUT-SIZE 8\nRANK {}\nDIMENSION-SIZES {}\nOUTPUT-CLASS UIN\nOUTPUT-SIZE 8\n",
            shape.len(),
            sizes.join(" "),
        );
        fs::write(&description, text).unwrap();
        let import = Command::new("h5import")
            .args([&raw, Path::new("-c"), &description, Path::new("-o"), &file])
            .output()
            .unwrap();
        assert!(import.status.success(), "{import:?}");
        fs::remove_file(raw).unwrap();
        fs::remove_file(description).unwrap();
    }

    #[test]
    fn patch_camelyon() {
        let missing = |tool: &&str| Command::new(tool).arg("--version").output().is_err();
        if let Some(tool) = ["h5dump", "h5import", "perl"].iter().find(|tool| missing(tool)) {
            println!("skipped: no {tool} here");
            return;
        }
        let folder = TempDir::new().unwrap();
        let name = |split: &str, what: &str| format!("camelyonpatch_level_2_split_{split}_{what}");
        let pixels =
            |split: usize| -> Vec<u8> { (0..4 * 6 * 5 * 3).map(|i| (i * 7 + split) as u8).collect() };
        let run = || run("prepare-patch-camelyon.sh", folder.path());
        assert_eq!(run().status.code(), Some(1), "without the training images");
        for (place, split) in ["train", "valid", "test"].into_iter().enumerate() {
            let write = |what: &str, shape: &[usize], values: &[u8]| {
                write_hdf5(
                    folder.path(),
                    &name(split, &format!("{what}.h5")),
                    what,
                    shape,
                    values,
                );
            };
            write("x", &[4, 6, 5, 3], &pixels(place));
            write("y", &[4, 1, 1, 1], &[0, 1, 1, 0]);
            let slides: String = (0..4)
                .map(|i| format!("{i},1,2,False,True,slide_{split}{}\n", i / 2))
                .collect();
            let table = format!(",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi\n{slides}");
            fs::write(folder.path().join(name(split, "meta.csv")), table).unwrap();
        }
        let packed = Command::new("gzip")
            .arg(folder.path().join(name("train", "x.h5")))
            .status();
        assert!(packed.unwrap().success());
        let output = run();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let open = || Dataset::open(&folder.path().join("manifest.csv"), &OpenOptions::default()).unwrap();
        let dataset = open();
        assert_eq!(dataset.classes, ["normal", "tumour"]);
        for (place, samples) in [&dataset.train, &dataset.val, &dataset.test]
            .into_iter()
            .enumerate()
        {
            let labels: Vec<_> = samples.iter().filter_map(|sample| sample.label.class()).collect();
            assert_eq!(labels, [0, 1, 1, 0]);
            let found = samples
                .iter()
                .map(|sample| vpt_data::decode(&sample.path).unwrap());
            let found: Vec<u8> = found.flat_map(|image| image.into_raw()).collect();
            assert_eq!(found, pixels(place));
        }
        assert_eq!(
            groups(&dataset),
            ["slide_train0", "slide_train0", "slide_train1", "slide_train1"]
        );
        let left = || -> Vec<_> {
            let files = fs::read_dir(folder.path()).unwrap();
            let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            names.filter(|name| !name.starts_with("camelyonpatch")).collect()
        };
        let mut kept = left();
        kept.sort();
        assert_eq!(kept, ["images", "manifest.csv"]);

        // Slides that are not known of every split are of no use; a file that is cut short is no data set.
        fs::remove_file(folder.path().join(name("test", "meta.csv"))).unwrap();
        assert!(run().status.success());
        assert!(open().train.iter().all(|sample| sample.group.is_none()));
        let labels = folder.path().join(name("valid", "y.h5"));
        let whole = fs::read(&labels).unwrap();
        fs::write(&labels, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(run().status.code(), Some(1));
        assert_eq!(left().len(), 2);
    }

    #[test]
    fn another_table_is_refused_and_nothing_is_left() {
        let files = [("train.csv", "name,grade\nab,2\n"), ("train_images/ab.png", "")];
        let (folder, output) = prepare("prepare-aptos.sh", &files);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("expected the header id_code,diagnosis, found name,grade"),
            "{said}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn an_archive_of_another_sum_is_not_kept() {
        if Command::new("curl").arg("--version").output().is_err() {
            return;
        }
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("pathmnist.npz"), "not it").unwrap();
        let script = repository().join("scripts/prepare-medmnist.sh");
        let output = Command::new("bash")
            .arg(script)
            .arg("pathmnist")
            .env("MEDMNIST_DIR", folder.path().join("out"))
            .env("MEDMNIST_URL", format!("file://{}", folder.path().display()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("expected a8b06965200029087d5bd730944a56c1"),
            "{said}"
        );
        assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 0);
        assert_eq!(
            run("prepare-medmnist.sh", Path::new("nosuch")).status.code(),
            Some(2)
        );
    }
}
