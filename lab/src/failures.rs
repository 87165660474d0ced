//! Shrinks the shortest failing run for each cause of a sweep's failures, and writes it as a repro file
//! and a page.

use std::fs;
use std::path::Path;

use crate::report::Summary;
use crate::shrink::Budget;
use crate::view;
use crate::workers::{Pool, Settings};
use labraft::{Verdict, select};
use labrpc::RunSpec;

use crate::commands::shrink::{Shrinking, shrink_one};
use crate::outcome::{CommandError, INTERRUPT};
use crate::outputs::REASONS_SHOWN;
use crate::selector::Selection;
use crate::session::Session;

/// The maximum number of runs for shrinking each failure, and for finding a simpler one. `lab shrink` can be
/// given more.
const BUDGET: u64 = 600;

/// Shrinks the runs, writes the files, and returns the text to print about them. Skips runs that
/// never finished.
pub(crate) fn leave(
    summary: &Summary,
    session: &Session<'_>,
    out: &Path,
) -> Result<String, CommandError> {
    let directory = out.join("failures");
    // Files of an earlier sweep do not belong to this one.
    _ = fs::remove_dir_all(&directory);
    let mut text = String::new();
    for group in summary.groups().iter().take(REASONS_SHOWN) {
        let record = &group.shortest;
        let (verdict, is_whole) = (record.verdict, !record.fingerprint.is_empty());
        if verdict != Verdict::Failed || !is_whole {
            continue;
        }
        let [test] = select(session.suite(), &record.test)?[..] else { continue };
        let wanted = Selection {
            test,
            spec: RunSpec::seed(record.seed),
            conditions: record.conditions(),
            known: Some(record.clone().into()),
            repro: None,
        };
        let settings = session.settings(out, false);
        let pool = Pool::new(Settings { conditions: record.conditions(), ..settings }, &INTERRUPT);
        let told = match shrink_one(&wanted, &mut pool.runs(), Budget::half(BUDGET), session, true)?
        {
            Shrinking::Done(told) => told,
            Shrinking::Interrupted => break,
            Shrinking::Impossible(what) => {
                text += &format!("  {what}\n");
                continue;
            }
        };
        let name = format!("{}-{}", record.test, record.seed);
        let (repro, page) =
            (directory.join(format!("{name}.json")), directory.join(format!("{name}.html")));
        let cannot_write = |error: std::io::Error| {
            let directory = directory.display();
            CommandError::Internal(format!("cannot write failures to {directory}: {error}"))
        };
        told.write(&repro).map_err(|(_, error)| cannot_write(error))?;
        let simplest = told.simplest(&repro);
        let replay = session.with_file("replay", &simplest.path);
        let written = fs::write(&page, view::page(simplest.answer, &replay, simplest.story));
        written.map_err(cannot_write)?;
        let headline = told.headline();
        let page = page.display();
        text += &format!("  {headline}\n    replay: {replay}\n    page:   {page}\n");
    }
    Ok(match text.is_empty() {
        true => text,
        false => format!(
            "the shortest failing run for each reason, reduced to the fewest faults:\n{text}"
        ),
    })
}
