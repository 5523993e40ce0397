//! Many rounds at once: a client is a program of its own, and most of its time is its start.

use std::sync::Mutex;

/// How many are under way at once.
const WORKERS: usize = 3;

/// Judges every row; gives what is wrong with them.
pub(crate) fn faults<T: Sync>(rows: &[T], judge: impl Fn(&T) -> Vec<String> + Sync) -> Vec<String> {
    let (queue, found) = (Mutex::new(rows.iter()), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(row) = next() {
                    let wrong = judge(row);
                    found.lock().unwrap().extend(wrong);
                }
            });
        }
    });
    found.into_inner().unwrap()
}
