use std::os::unix::fs::symlink;

use tandem_core::id::Tenant;

use super::*;

fn change(contact: &str) -> BindingChange {
    BindingChange::Unbound {
        tenant: Tenant::default_tenant(),
        extension: "1001".to_owned().into(),
        contact: contact.to_owned(),
    }
}

fn open(dir: &tempfile::TempDir, config: Config) -> Journal {
    let config = Config { data_dir: dir.path().to_owned(), ..config };
    Journal::open(&config, Arc::default()).unwrap()
}

fn contacts<'a>(batch: &'a Batch) -> Vec<&'a str> {
    let contact = |entry: &'a Entry| match entry {
        Entry::Binding(change) => match &**change {
            BindingChange::Unbound { contact, .. } => Some(contact.as_str()),
            BindingChange::Bound(_) => None,
        },
        Entry::Fact(_) | Entry::Audit(_) => None,
    };
    batch.entries.iter().filter_map(contact).collect()
}

#[test]
fn entries_are_read_in_order_across_segments_and_processes() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes: 1, ..Config::default() };
    let journal = open(&dir, config.clone());
    for contact in ["a", "b"] {
        journal.append(EntryRef::Binding(&change(contact)));
    }
    drop(journal);
    let journal = open(&dir, config);
    journal.append(EntryRef::Binding(&change("c")));
    assert_eq!(journal.backlog(), 3);
    let (mut position, mut read) = (Position::default(), Vec::new());
    loop {
        let batch = journal.read(position, 10).unwrap();
        if batch.frames == 0 {
            break;
        }
        read.extend(contacts(&batch).into_iter().map(str::to_owned));
        position = batch.next;
        journal.release(position, batch.frames);
    }
    assert_eq!((read.join(""), journal.backlog()), ("abc".to_owned(), 0));
}

#[test]
fn a_batch_has_no_more_than_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(&dir, Config::default());
    for contact in ["a", "b", "c"] {
        journal.append(EntryRef::Binding(&change(contact)));
    }
    let first = journal.read(Position::default(), 2).unwrap();
    assert_eq!(contacts(&first), ["a", "b"]);
    assert_eq!(contacts(&journal.read(first.next, 2).unwrap()), ["c"]);
}

#[test]
fn a_damaged_segment_gives_what_is_whole_and_is_put_aside_not_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(&dir, Config::default());
    for contact in ["a", "b"] {
        journal.append(EntryRef::Binding(&change(contact)));
    }
    drop(journal);
    let path = dir.path().join("journal/000000000001.journal");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let journal = open(&dir, Config::default());
    journal.append(EntryRef::Binding(&change("c")));
    let first = journal.read(Position::default(), 10).unwrap();
    let second = journal.read(first.next, 10).unwrap();
    assert_eq!((contacts(&first), contacts(&second)), (vec!["a"], vec!["c"]));
    journal.release(second.next, 2);
    assert!(path.with_extension("damaged").exists() && !path.exists());
}

#[test]
fn an_entry_of_an_unknown_kind_is_skipped_and_its_segment_kept() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir, Config::default()));
    let mut unknown = [&[0; frame::HEAD][..], br#"{"later":1}"#].concat();
    assert!(frame::seal(&mut unknown));
    let path = dir.path().join("journal/000000000001.journal");
    std::fs::write(&path, unknown).unwrap();

    let journal = open(&dir, Config::default());
    journal.append(EntryRef::Binding(&change("a")));
    let first = journal.read(Position::default(), 10).unwrap();
    assert_eq!((first.frames, first.entries.len()), (1, 0));
    let second = journal.read(first.next, 10).unwrap();
    assert_eq!(contacts(&second), ["a"]);
    journal.release(second.next, 2);
    assert!(path.with_extension("damaged").exists());
}

#[test]
fn what_waits_for_the_disk_is_bounded_and_the_rest_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let frame_bytes = frame::HEAD + serde_json::to_vec(&EntryRef::Binding(&change("a"))).unwrap().len();
    let journal = open(&dir, Config { waiting_bytes: 2 * frame_bytes, ..Config::default() });
    symlink("/dev/full", dir.path().join("journal/000000000001.journal")).unwrap();
    for contact in ["a", "b", "c"] {
        journal.append(EntryRef::Binding(&change(contact)));
    }
    assert!(!journal.is_writable());
    assert_eq!(journal.backlog(), 2);
    journal.retry();
    assert!(journal.is_writable());
    assert_eq!(contacts(&journal.read(Position::default(), 10).unwrap()), ["a", "b"]);
}

#[test]
fn what_is_set_aside_is_bounded_over_all_starts() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(&dir, Config::default());
    let entry = Entry::Binding(Box::new(change("a")));
    let why = std::io::Error::other("no");
    std::fs::write(dir.path().join("journal/poisoned.20260101T000000"), vec![b'x'; 4_000]).unwrap();
    assert!(!journal.set_aside(&entry, &why).unwrap());
    std::fs::write(dir.path().join("journal/poisoned.20260101T000000"), vec![b'x'; 3_000]).unwrap();
    assert!(journal.set_aside(&entry, &why).unwrap());
}
