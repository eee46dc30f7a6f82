//! A batch from its list to its summary.

use std::{collections::HashSet, path::PathBuf, sync::Mutex};

use tools_cli::{failure::Failure, interrupt, progress::say};

use super::{
    args::Batch,
    child, find,
    jobs::{self, Job},
    pool,
    programs::{Kind, Told},
    queue::{self, Queue},
    report::{Entry, Outcome, Report},
    view::View,
    work::{self, Source},
};

/// Does what the command line asks for.
///
/// # Errors
/// What makes the program exit with another code than 0.
pub fn run(kind: &'static Kind, args: &Batch, told: Told) -> Result<(), Failure> {
    let workers = pool::workers(&args.workers, told.device)?;
    let list = &args.list;
    let has_list = !(list.roots.is_empty() && list.dataset_root.is_empty() && list.segment.is_empty())
        || list.segments_csv.is_some();
    if args.queue.queue_worker && (has_list || args.existing.dry_run) {
        return Err(Failure::Usage("--queue-worker works without a list; leave out one of the two".to_owned()));
    }
    interrupt::listen_twice();
    if args.existing.probe_existing || args.existing.report_existing {
        gst::init().map_err(|error| Failure::Pipeline(format!("GStreamer does not start: {error}")))?;
    }
    let decisions = if args.queue.queue_worker {
        Vec::new()
    } else {
        let mut inputs = find::inputs(kind, list)?;
        if args.queue.queue.is_some() {
            // Other machines do not stand in the same directory.
            inputs = inputs.into_iter().map(|input| std::path::absolute(&input).unwrap_or(input)).collect();
        }
        jobs::decide(kind, inputs, &told.flags, args.existing, workers.len())?
    };
    if args.existing.report_existing {
        return Report::of_existing(kind.batch, decisions).print(args.json);
    }
    if args.existing.dry_run {
        return Report::of_decisions(kind.batch, decisions).print(args.json);
    }
    let program = child::find(kind)?;
    let (todo, skipped): (Vec<_>, Vec<_>) = decisions.into_iter().partition(|decision| decision.convert);
    let mut entries: Vec<_> = skipped
        .into_iter()
        .map(|decision| {
            let why = decision.why();
            Entry::new(decision.job.input, decision.job.output, Outcome::Skipped, Some(why))
        })
        .collect();
    let todo: Vec<_> = todo.into_iter().map(|decision| decision.job).collect();
    say(kind.batch, &format!("{} {} to convert, {} skipped", todo.len(), kind.takes.name(), entries.len()));
    let source = source(kind, args, &todo)?;
    let mut view = View::new(kind.batch, args.progress_ui, args.heartbeat_seconds, &workers, todo.len());
    let (done, broken) = work::work(kind, &program, &source, &workers, &mut view);
    drop(view);
    let known: HashSet<PathBuf> = done.iter().map(|entry| entry.output.clone()).collect();
    entries.extend(done);
    let rest = todo.into_iter().filter(|job| !known.contains(&job.output));
    let stopped = interrupt::times() > 0 || broken.is_some();
    entries.extend(rest.map(|job| match &source {
        Source::Queue(queue) if !stopped => queue.became(job),
        _ => Entry::new(job.input, job.output, Outcome::Left, Some("not begun".to_owned())),
    }));
    let outcomes: &[Outcome] = match source {
        Source::List(_) => &[Outcome::Converted, Outcome::Skipped, Outcome::Failed, Outcome::Left],
        Source::Queue(_) => &[Outcome::Converted, Outcome::Elsewhere, Outcome::Skipped, Outcome::Failed, Outcome::Left],
    };
    let printed = Report::new(kind.batch, outcomes, entries).print(args.json);
    interrupt::check()?;
    broken.map_or(printed, Err)
}

fn source(kind: &'static Kind, args: &Batch, todo: &[Job]) -> Result<Source, Failure> {
    let Some(url) = &args.queue.queue else {
        return Ok(Source::List(Mutex::new(todo.iter().cloned().collect())));
    };
    let settings = queue::Settings { takeover: args.queue.queue_takeover_seconds, wait: args.queue.queue_wait };
    let queue = Queue::open(kind, url, settings)?;
    let added = queue.publish(todo)?;
    say(kind.batch, &format!("{}: {added} jobs added, {} were in it", queue.name(), todo.len() - added));
    Ok(Source::Queue(Box::new(queue)))
}
