//! What a file of results keeps, and what is refused.

use std::sync::Barrier;

use super::*;

fn record(seed: u64, fingerprint: &str) -> RunRecord {
    let empty = RunRecord::empty("Backup2B", seed, "reference", &Build::default());
    RunRecord { fingerprint: fingerprint.into(), ..empty }
}

/// An empty directory for one test.
fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("lab-records-{name}-{}", std::process::id()));
    _ = fs::remove_dir_all(&directory);
    directory
}

#[test]
fn a_torn_last_line_is_noticed_and_dropped_and_nothing_else_is_lost() {
    let directory = directory("torn");
    let mut writer = Writer::begin(&directory).unwrap();
    writer.add(&record(3, "a")).unwrap();
    drop(writer);
    // The second one breaks off within a character of several bytes.
    for torn in [&b"{\"test\":\"Backup2B\",\"se"[..], b"{\"test\":\"\xe2\x82"] {
        let mut file = OpenOptions::new().append(true).open(path(&directory)).unwrap();
        file.write_all(torn).unwrap();
        assert_eq!(read(&path(&directory)).unwrap().torn, Some(torn.len() as u64));
        let (mut writer, records) = Writer::resume(&directory).unwrap();
        assert_eq!(records.all[0], record(3, "a"));
        assert_eq!(records.torn, Some(torn.len() as u64));
        writer.add(&record(4, "b")).unwrap();
    }
    let all = read(&path(&directory)).unwrap();
    let records = vec![record(3, "a"), record(4, "b"), record(4, "b")];
    assert_eq!(all, Records { all: records, torn: None });
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn the_results_before_are_kept_and_found() {
    let directory = directory("before");
    let go = Conditions::default();
    let find = |seed| latest(&directory, "Backup2B", seed, "reference", go).unwrap();
    assert_eq!(find(3), None, "without a file there are no records");
    let write = |records: &[RunRecord]| {
        let mut writer = Writer::begin(&directory).unwrap();
        records.iter().for_each(|record| writer.add(record).unwrap());
    };
    write(&[record(3, "old"), record(4, "other")]);
    write(&[record(3, "new")]);
    assert_eq!(find(3), Some(record(3, "new")));
    assert_eq!(find(4), Some(record(4, "other")));
    assert_eq!(find(5), None);
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn two_writers_do_not_mix_their_results() {
    let directory = directory("two");
    let mut one = Writer::begin(&directory).unwrap();
    one.add(&record(1, "a")).unwrap();
    for other in [Writer::begin(&directory).err(), Writer::resume(&directory).err()] {
        assert!(other.unwrap().to_string().contains("another lab"));
    }
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn of_many_writers_that_begin_at_one_instant_exactly_one_is_let_in() {
    let directory = directory("instant");
    for round in 0..100 {
        let (start, end) = (Barrier::new(8), Barrier::new(8));
        let begin = || {
            start.wait();
            let mut writer = Writer::begin(&directory);
            let is_let_in = writer.as_mut().is_ok_and(|it| it.add(&record(round, "")).is_ok());
            end.wait();
            is_let_in
        };
        let count = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
            all.into_iter().filter_map(|one| one.join().ok()).filter(|&it| it).count()
        });
        assert_eq!(count, 1, "round {round}");
        assert_eq!(read(&path(&directory)).unwrap().all, [record(round, "")]);
    }
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn results_that_were_removed_or_replaced_are_noticed_at_the_next_one() {
    let directory = directory("removed");
    let mut writer = Writer::begin(&directory).unwrap();
    writer.add(&record(1, "a")).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    assert!(writer.check().is_err());
    let error = writer.add(&record(2, "b")).unwrap_err().to_string();
    assert!(error.contains("removed or replaced"), "{error}");
    let other = Writer::begin(&directory).unwrap();
    assert!(writer.check().is_err() && other.check().is_ok());
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_file_that_never_ends_is_not_read() {
    let directory = directory("endless");
    fs::create_dir_all(&directory).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path(&directory)).unwrap();
    let of_device = [read(&path(&directory)).err(), Writer::resume(&directory).err()];
    for error in of_device {
        let error = error.unwrap().to_string();
        assert!(error.contains("is not a regular file"), "{error}");
    }
    fs::remove_file(path(&directory)).unwrap();
    // A sparse file: terabytes without a line's end, on a disk that is smaller.
    File::create(path(&directory)).unwrap().set_len(4 << 40).unwrap();
    let error = read(&path(&directory)).unwrap_err().to_string();
    assert!(error.contains("line 1 of") && error.contains("longer than any"), "{error}");
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn what_is_no_record_is_named_by_its_line() {
    let directory = directory("foreign");
    fs::create_dir_all(&directory).unwrap();
    let old = serde_json::to_string(&record(3, "a")).unwrap().replace("\"version\":2,", "");
    for (line, hint) in [("{}", "not a result of a run"), (old.as_str(), "in version 1")] {
        fs::write(path(&directory), format!("{line}\n")).unwrap();
        let error = read(&path(&directory)).unwrap_err().to_string();
        assert!(error.contains("line 1 of") && error.contains(hint), "{error}");
    }
    fs::remove_dir_all(&directory).unwrap();
}
