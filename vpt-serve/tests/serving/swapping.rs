//! Tasks that change while they are in use.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use vpt_core::TaskFile;
use vpt_data::TaskKind;
use vpt_serve::{Change, ServeOptions, Sources};

use crate::answers::{answered, apart, logits};
use crate::served::{Served, picture, post, task};

#[test]
fn tasks_swapped_under_load_never_give_a_wrong_answer() {
    const SWAPS: usize = 200;
    let versions: Vec<TaskFile> = [
        ("vpt-deep", 1),
        ("vpt-deep", 2),
        ("linear", 3),
        ("vpt-shallow", 4),
    ]
    .map(|(method, seed)| task(method, TaskKind::Classification, 3, seed))
    .into();
    let files: Vec<Vec<u8>> = versions
        .iter()
        .map(|task| task.to_bytes(false).unwrap())
        .collect();
    let image = picture(1);
    let right: Vec<Vec<f32>> = versions.iter().map(|task| logits(task, &image)).collect();
    let served = Served::with_token(&[("one", versions[0].clone())]);
    let done = AtomicBool::new(false);
    let path = "/v1/tasks/one/predict";
    let answers: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = 0;
                    while !done.load(Ordering::SeqCst) {
                        let answer = post(&served.url, path, "image/png", &image);
                        assert_eq!(answer.status, 200, "{}", answer.text);
                        let given = answered(&answer.json());
                        let nearest = right
                            .iter()
                            .map(|right| apart(&given, right))
                            .fold(f32::MAX, f32::min);
                        assert!(nearest < 5e-6, "{nearest}");
                        answers += 1;
                    }
                    answers
                })
            })
            .collect();
        for swap in 0..SWAPS {
            let answer = served.put("/v1/tasks/one", &files[swap % files.len()]);
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        done.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert!(answers > 4, "{answers} answers during {SWAPS} swaps");
}

#[test]
fn a_folder_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, single) = (dir.path().join("tasks"), dir.path().join("single.safetensors"));
    fs::create_dir_all(folder.join("run")).unwrap();
    let save = |path: &Path, seed: u64| {
        task("vpt-deep", TaskKind::Classification, 2 + seed as usize, seed)
            .save(path, false)
            .unwrap();
    };
    save(&single, 0);
    save(&folder.join("run/best.safetensors"), 1);
    save(&folder.join("eyes.safetensors"), 2);
    fs::write(folder.join("notes.txt"), "nothing").unwrap();
    let served = Served::start(&[], ServeOptions::default());
    let mut sources = Sources::default();
    sources.add(Some("named"), &single).unwrap();
    sources.add(None, &folder).unwrap();
    let classes = |name: &str| {
        served
            .registry
            .get(name)
            .map(|task| task.metadata.task.classes.len())
    };
    let said = |changes: Vec<Change>| -> Vec<String> {
        changes.iter().map(|change| format!("{change:?}")).collect()
    };
    assert_eq!(
        said(sources.refresh(&served.registry)),
        ["Added(\"eyes\")", "Added(\"named\")", "Added(\"run\")"]
    );
    assert_eq!(["eyes", "named", "run"].map(classes), [Some(4), Some(2), Some(3)]);
    assert!(sources.refresh(&served.registry).is_empty());

    save(&folder.join("eyes.safetensors"), 3);
    fs::remove_dir_all(folder.join("run")).unwrap();
    save(&folder.join("late.safetensors"), 4);
    assert_eq!(
        said(sources.refresh(&served.registry)),
        ["Removed(\"run\")", "Replaced(\"eyes\")", "Added(\"late\")"]
    );
    assert_eq!(["eyes", "run", "late"].map(classes), [Some(5), None, Some(6)]);

    // A file that is broken, or not written to its end, leaves what was served before.
    fs::write(folder.join("eyes.safetensors"), "half").unwrap();
    let changes = sources.refresh(&served.registry);
    assert!(matches!(&changes[..], [Change::Refused { .. }]), "{changes:?}");
    assert_eq!(classes("eyes"), Some(5));
    assert!(sources.refresh(&served.registry).is_empty(), "it is said once");
    save(&folder.join("eyes.safetensors"), 6);
    assert_eq!(said(sources.refresh(&served.registry)), ["Replaced(\"eyes\")"]);

    let same = sources.add(None, &dir.path().join("tasks/eyes.safetensors"));
    same.unwrap();
    let error = sources
        .add(Some("named"), &folder.join("late.safetensors"))
        .unwrap_err();
    assert!(error.to_string().contains("`named`"), "{error}");
    sources.add(None, &dir.path().join("nothing")).unwrap_err();
}
