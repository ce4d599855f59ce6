//! Too much of anything is refused, and troubles nobody else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use vpt_data::TaskKind;
use vpt_serve::ServeOptions;

use crate::answers::answered;
use crate::served::{Served, picture, post, task};

const PATH: &str = "/v1/tasks/one/predict";

fn served(options: ServeOptions) -> Served {
    let one = task("vpt-deep", TaskKind::Classification, 4, 1);
    let two = task("linear", TaskKind::Classification, 4, 2);
    Served::start(&[("one", one), ("two", two)], options)
}

/// Sends bytes as they are, and reads until the server closes.
fn raw(served: &Served, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.address()).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A server that closes early may reset the connection.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn sizes_are_limited() {
    let served = served(ServeOptions {
        max_body_bytes: 20_000,
        max_pixels: 3000,
        max_images: 2,
        ..ServeOptions::default()
    });
    let large = served.post(PATH, "image/png", &vec![0; 20_001]).problem(413);
    assert!(large.contains("20000 bytes"), "{large}");
    // Nobody says beforehand how long a chunked body is.
    let mut chunked =
        format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for _ in 0..30 {
        chunked.extend(b"400\r\n");
        chunked.extend([0; 0x400]);
        chunked.extend(b"\r\n");
    }
    let answer = raw(&served, &chunked);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    let mut wide = std::io::Cursor::new(Vec::new());
    let picture_of = image::RgbImage::new(61, 50);
    picture_of.write_to(&mut wide, image::ImageFormat::Png).unwrap();
    let pixels = served.post(PATH, "image/png", wide.get_ref()).problem(413);
    assert!(pixels.contains("61 x 50"), "{pixels}");

    let three = serde_json::json!({"images": ["aGk=", "aGk=", "aGk="]}).to_string();
    let many = served
        .post(PATH, "application/json", three.as_bytes())
        .problem(413);
    assert!(many.contains("3 images"), "{many}");
    assert_eq!(served.post(PATH, "image/png", &picture(1)).status, 200);
}

#[test]
fn a_full_queue_sends_clients_away_and_loses_none() {
    let served = served(ServeOptions {
        queue: 2,
        max_batch: 1,
        ..ServeOptions::default()
    });
    let image = picture(1);
    let expected = answered(&served.predict(PATH, &image));
    let (answered_well, sent_away) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let answer = post(&served.url, PATH, "image/png", &image);
                    match answer.status {
                        200 => {
                            assert_eq!(answered(&answer.json()), expected);
                            answered_well.fetch_add(1, Ordering::SeqCst);
                        }
                        _ => {
                            answer.problem(429);
                            assert_eq!(answer.retry_after.as_deref(), Some("1"));
                            sent_away.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
    });
    let (well, away) = (answered_well.into_inner(), sent_away.into_inner());
    assert_eq!(well + away, 160);
    assert!(well > 0 && away > 0, "{well} answered, {away} sent away");
    // More than the queue will ever take.
    let never = served
        .post("/v1/predict", "application/json", b"{\"images\": []}")
        .problem(400);
    assert!(never.contains("no image"));
    let text = base64_of(&image);
    let body = serde_json::json!({"images": [text, text]}).to_string();
    let never = served
        .post("/v1/predict", "application/json", body.as_bytes())
        .problem(413);
    assert!(never.contains("more than 2"), "{never}");
    assert_eq!(served.post(PATH, "image/png", &image).status, 200);
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn slow_clients_are_let_go_and_hold_up_nobody() {
    let served = served(ServeOptions {
        timeout: Duration::from_secs(3),
        ..ServeOptions::default()
    });
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    let slow: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(served.address()).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(b"a few bytes").unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    for seed in 0..5 {
        assert_eq!(served.post(PATH, "image/png", &picture(seed)).status, 200);
    }
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "nobody waited for the slow"
    );
    for mut stream in slow {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
    }
}

#[test]
fn malformed_requests_among_good_ones_change_nothing() {
    let served = served(ServeOptions::default());
    let image = picture(1);
    let expected = answered(&served.predict(PATH, &image));
    let bad: [&[u8]; 8] = [
        b"",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        b"POST /v1/tasks/%2e%2e/predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /v1/predict HTTP/9.9\r\n\r\n",
        &[0xff; 200],
    ];
    std::thread::scope(|scope| {
        for turn in 0..4 {
            let (served, bad) = (&served, &bad);
            scope.spawn(move || {
                for (i, bytes) in bad.iter().cycle().take(100).enumerate() {
                    let mut stream = TcpStream::connect(served.address()).unwrap();
                    // A server that has had enough may close before all is written.
                    let _ = stream.write_all(bytes);
                    if (i + turn) % 2 == 0 {
                        let _ = stream.shutdown(std::net::Shutdown::Write);
                        let mut answer = Vec::new();
                        let _ = stream.read_to_end(&mut answer);
                        assert!(
                            !answer.starts_with(b"HTTP/1.1 2"),
                            "{i}: {}",
                            String::from_utf8_lossy(&answer)
                        );
                    }
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..40 {
                    let answer = post(&served.url, PATH, "image/png", &image);
                    assert_eq!(answered(&answer.json()), expected);
                }
            });
        }
    });
}

#[test]
fn what_was_accepted_is_answered_before_the_end() {
    let served = served(ServeOptions {
        max_wait: Duration::from_secs(2),
        ..ServeOptions::default()
    });
    let image = picture(1);
    let url = served.url.clone();
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| post(&url, PATH, "image/png", &image)))
            .collect();
        while !served.get("/metrics").text.contains("vpt_queue_inputs 4") {
            std::thread::sleep(Duration::from_millis(5));
        }
        served.ask_to_stop();
        for answer in asked {
            let answer = answer.join().unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    });
    drop(served);
    assert!(TcpStream::connect(url.strip_prefix("http://").unwrap()).is_err());
}

#[test]
fn clients_that_leave_free_their_places() {
    let served = served(ServeOptions {
        queue: 4,
        max_wait: Duration::from_millis(300),
        ..ServeOptions::default()
    });
    let image = picture(1);
    for _ in 0..10 {
        let mut stream = TcpStream::connect(served.address()).unwrap();
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
            image.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&image).unwrap();
    }
    let start = Instant::now();
    while served.post(PATH, "image/png", &image).status != 200 {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "places are never free again"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
