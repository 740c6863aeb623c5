//! What keeping state costs. Not part of the usual run:
//! `cargo test --release --test state_store cost -- --ignored --nocapture --test-threads 1`

use std::fs;
use std::time::{Duration, Instant};

use discogs_extractor::model::Kind;
use discogs_extractor::state::view::{Filter, list};
use discogs_extractor::state::{Beginning, open_for_inspection};

use crate::{BROKER, Steps, begin, deliver, key, open, point, step, wait};

/// CPU time of this process, all threads; the kernel counts it in hundredths of a second.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[test]
#[ignore = "measures"]
fn nothing_to_do() {
    let dir = tempfile::tempdir_in(".").unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        for (n, kind) in (0..).zip(Kind::ALL) {
            deliver(&keeper, kind, 5, BROKER, n * 10).await;
        }
        keeper.close().await.unwrap();
        let mut times = Vec::new();
        for _ in 0..20 {
            let begun = Instant::now();
            let keeper = open(dir.path()).await;
            for kind in Kind::ALL {
                let beginning = begin(&keeper, kind, 100).await.beginning;
                assert!(matches!(beginning, Beginning::AlreadyComplete { .. }));
            }
            assert_eq!(list(&keeper.inspect().await.unwrap(), &Filter::default()).files.len(), 4);
            keeper.close().await.unwrap();
            times.push(begun.elapsed());
        }
        times.sort();
        println!("owner, open to closed: median {:?}, most {:?}", times[10], times[19]);
        assert!(times[10] < Duration::from_millis(50));
        let begun = Instant::now();
        open_for_inspection(dir.path()).unwrap();
        println!("inspection: {:?}", begun.elapsed());
    });
}

#[test]
#[ignore = "measures"]
fn a_large_file() {
    const STEPS: u64 = 1300;
    let dir = tempfile::tempdir_in(".").unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        let begun = begin(&keeper, Kind::Releases, 0).await;
        let mut steps = Steps::from(begun.checkpoint);
        let (wall, before) = (Instant::now(), cpu());
        for n in 0..STEPS {
            let confirmed = steps.confirm(3);
            let mut advance = step(confirmed, n);
            advance.points = vec![point(n * 3 + 1, false)];
            keeper.advance(key(Kind::Releases), advance).await.unwrap().await.unwrap();
        }
        let (wall, used) = (wall.elapsed(), cpu().saturating_sub(before));
        let steps_a_second = 5.0;
        println!(
            "a step with a point of 7 kB: {:?} of wall time, {:?} of CPU: {:.3} % at 5 a second",
            wall / 1300,
            used / 1300,
            used.as_secs_f64() / 1300.0 * steps_a_second * 100.0
        );
        let on_disk = fs::metadata(dir.path().join("store/db")).unwrap().len();
        println!("{STEPS} points: {} kB on disk", on_disk / 1024);
        let at = Instant::now();
        keeper.inspect().await.unwrap();
        println!("inspection by the owner: {:?}", at.elapsed());
        keeper.close().await.unwrap();
        let at = Instant::now();
        let keeper = open(dir.path()).await;
        let again = begin(&keeper, Kind::Releases, 9999).await;
        assert!(again.point.is_some());
        println!("open and begin where it was: {:?}", at.elapsed());
        let at = Instant::now();
        let mut steps = Steps::from(again.checkpoint);
        keeper
            .complete(key(Kind::Releases), steps.finish(), BROKER, crate::at(10_000))
            .await
            .unwrap();
        println!("complete: {:?}", at.elapsed());
        keeper.close().await.unwrap();
        println!("and the points removed, closed: {:?}", at.elapsed());
        let on_disk = fs::metadata(dir.path().join("store/db")).unwrap().len();
        println!("{} kB on disk", on_disk / 1024);
    });
}
