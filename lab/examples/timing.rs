#![allow(clippy::disallowed_methods, missing_docs)]
use std::time::Instant;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let answer = lab::recording::load(path.as_ref()).unwrap();
    println!("{} events", answer.events.len());
    for _ in 0..3 {
        let t = Instant::now();
        let line = serde_json::to_string(&answer).unwrap();
        let a = t.elapsed();
        let t = Instant::now();
        let back: lab::workers::Answer = serde_json::from_str(&line).unwrap();
        let b = t.elapsed();
        let t = Instant::now();
        let old: Vec<String> =
            answer.events.iter().map(|e| serde_json::to_string(e).unwrap()).collect();
        let c = t.elapsed();
        let t = Instant::now();
        let mut n = 0;
        for l in &old {
            let e: labrpc::Timed = serde_json::from_str(l).unwrap();
            n += usize::from(e.at.is_zero());
        }
        let d = t.elapsed();
        let t = Instant::now();
        let facts = back.events.iter().filter_map(labraft::HarnessEvent::of).count();
        let e = t.elapsed();
        let t = Instant::now();
        let data = lab::view::page_data(&back, "", &[], 0);
        let f = t.elapsed();
        let t = Instant::now();
        drop(back);
        println!(
            "write {a:?} ({} MB) read {b:?} | old write {c:?} read {d:?} | facts {e:?} ({facts}) page data {f:?} ({} MB) drop {:?} {n}",
            line.len() >> 20,
            data.len() >> 20,
            t.elapsed()
        );
    }
}
