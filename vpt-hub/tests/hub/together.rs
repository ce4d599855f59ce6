//! Several downloads of the same repository at once.

use std::fs;
use std::sync::Barrier;
use std::thread;

use crate::fake_hub::*;

#[test]
fn each_blob_is_downloaded_once() {
    let server = FakeHub::new();
    for file in ["model.safetensors", "config.json"] {
        server.always(&resolve(file), Trick::Slow);
    }
    let client = Client::of(&server);
    let start = Barrier::new(4);
    let downloaded: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let snapshot = fetch(&client.hub.clone(), "org/name").unwrap();
                    let model = fs::read(snapshot.folder.join("model.safetensors")).unwrap();
                    assert_eq!(model, weights());
                    assert_eq!(fs::read(snapshot.folder.join("config.json")).unwrap(), CONFIG);
                    snapshot.downloaded
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(downloaded.len(), 3, "{downloaded:?}");
    for file in ["model.safetensors", "config.json", "extra/deep/note%201.txt"] {
        assert_eq!(server.requests_for(&resolve(file)).len(), 1, "{file}");
    }
}

#[test]
fn links_that_others_made_are_never_gone() {
    let server = FakeHub::new();
    let client = Client::of(&server);
    client.fetch().unwrap();
    for _ in 0..30 {
        let folder = client.folder().join("snapshots").join(COMMIT);
        fs::remove_dir_all(&folder).unwrap();
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    let snapshot = fetch(&client.hub, "org/name").unwrap();
                    assert_eq!(fs::read(snapshot.folder.join("config.json")).unwrap(), CONFIG);
                });
            }
        });
        assert_eq!(entries(&folder), ["config.json", "extra", "model.safetensors"]);
    }
    assert_eq!(entries(&client.folder().join("blobs")).len(), 3);
}
