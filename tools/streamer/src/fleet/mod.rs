//! The cameras of the program, each on a thread of its own: what ends one is told, and the others do not notice.

mod member;
mod told;

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use self::member::State;
pub use self::{
    member::{Member, Run, Wanted},
    told::{Reloaded, Told, hear_signals},
};
use tools_cli::failure::Failure;

use crate::{
    camera_run::FINISH_MAX,
    log::{self, tell},
    watch::Cameras,
};

/// The main thread looks after cameras this often.
const LOOK: Duration = Duration::from_millis(250);
/// A camera whose loop does not go round for so many looks hangs: 20 seconds.
const STILL_MAX: u32 = 80;
/// A program that has left so many cameras behind is no better than one that hangs.
const LEFT_MAX: u32 = 4;
/// A camera that was told to end has this long,
const END_MAX: Duration = Duration::from_secs(10).saturating_add(FINISH_MAX);
/// and this long when it was told again.
const HASTY_END_MAX: Duration = Duration::from_secs(5);

/// Reads the configuration again: the cameras that are to run, and what of the rest changed.
pub type Reread<'a> = dyn FnMut() -> Result<(Vec<Wanted>, String), String> + 'a;

/// How the program is.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// It was told to end.
    pub is_ending: bool,
    /// It is of use: cameras go round, or are started again.
    pub is_alive: bool,
}

/// Cameras.
pub struct Fleet {
    members: Vec<Member>,
    /// Where those who watch find them.
    cameras: Arc<Cameras>,
    work: Run,
    /// Whether a camera that ends is started again, and named in what is told.
    many: bool,
    tell: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
    runs: u64,
    /// Cameras that did not end, and still hold what they had.
    left: u32,
    /// How often the program was told to end, and until when it waits for cameras.
    ending: Option<(u32, Instant)>,
}

impl Fleet {
    /// One camera that runs once, or `many` that are started again when they end.
    pub fn new(cameras: &Arc<Cameras>, work: Run, many: bool) -> Self {
        let (tell, told) = mpsc::channel();
        Self {
            members: Vec::new(),
            cameras: Arc::clone(cameras),
            work,
            many,
            tell,
            told,
            runs: 0,
            left: 0,
            ending: None,
        }
    }

    /// Where the main thread can be told something.
    pub fn teller(&self) -> mpsc::Sender<Told> {
        self.tell.clone()
    }

    /// Takes these cameras for those that are to run: those that are as they were go on, others end, change or begin. What
    /// changes, in words.
    pub fn set(&mut self, wanted: Vec<Wanted>) -> String {
        let [mut same, mut changed, mut new, mut gone] = [0; 4];
        for member in &mut self.members {
            if !wanted.iter().any(|wanted| wanted.name == member.wanted.name) {
                gone += 1;
                member.replace(None);
            }
        }
        for wanted in wanted {
            match self.members.iter_mut().find(|member| member.wanted.name == wanted.name) {
                Some(member) if member.is_to_be(&wanted) => same += 1,
                Some(member) => {
                    changed += 1;
                    member.replace(Some(wanted));
                }
                None => {
                    new += 1;
                    let camera = self.cameras.add(&wanted.name);
                    self.members.push(Member::new(wanted, camera));
                }
            }
        }
        self.settle();
        format!("{same} as before, {changed} changed, {new} new, {gone} gone")
    }

    /// Runs until it is told to end, or nothing is left to do. `look` is called several times a second.
    pub fn run(&mut self, reread: &mut Reread, mut look: impl FnMut(&[Member], Phase)) {
        loop {
            self.settle();
            let is_alive = self.look_at_loops();
            look(&self.members, Phase { is_ending: self.ending.is_some(), is_alive });
            if self.members.iter().all(|member| matches!(member.state, State::Done)) {
                return;
            }
            match self.told.recv_timeout(LOOK) {
                Ok(Told::End) if !self.end() => return,
                Ok(Told::End) => {}
                Ok(Told::Reload(reply)) => self.reload(reread, reply),
                Ok(Told::Over { run, outcome }) => {
                    let is_done = !self.many || self.ending.is_some();
                    let runs = |member: &&mut Member| matches!(&member.state, State::Running(it) if it.run == run);
                    if let Some(member) = self.members.iter_mut().find(runs) {
                        member.end(*outcome, is_done || member.leaving.is_some());
                    }
                }
                // It holds a sender itself.
                Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => {}
            }
            if let Some((_, until)) = self.ending
                && Instant::now() >= until
            {
                let left = self.members.iter().filter(|member| matches!(member.state, State::Running(_)));
                for member in left {
                    tell(&format!("{}: it does not end; it is left behind", member.wanted.name));
                }
                return;
            }
        }
    }

    /// The cameras, with what they came to.
    pub fn into_members(self) -> Vec<Member> {
        self.members
    }

    /// Tells all to end. False when nothing runs.
    fn end(&mut self) -> bool {
        let times = self.ending.map_or(1, |(times, _)| times + 1);
        self.ending = Some((times, Instant::now() + if times == 1 { END_MAX } else { HASTY_END_MAX }));
        for member in &mut self.members {
            match &mut member.state {
                State::Running(running) => running.end(),
                State::Waiting { .. } => member.state = State::Done,
                State::Done => {}
            }
            member.leaving = None;
        }
        self.members.iter().any(|member| matches!(member.state, State::Running(_)))
    }

    fn reload(&mut self, reread: &mut Reread, reply: Option<mpsc::Sender<Reloaded>>) {
        if self.ending.is_some() {
            return;
        }
        let outcome = reread().map(|(wanted, rest)| format!("{}{rest}", self.set(wanted)));
        match &outcome {
            Ok(changes) => log::tell_always(None, &format!("the configuration was read again: {changes}")),
            Err(why) => log::tell_always(
                None,
                &format!("warning: the configuration was read again and cannot be used, nothing changes: {why}"),
            ),
        }
        if let Some(reply) = reply {
            // Who asked may be gone.
            let _ = reply.send(outcome);
        }
    }

    /// Lets go of cameras that hang, if there are others. Whether the program is of any use.
    fn look_at_loops(&mut self) -> bool {
        let mut is_alive = true;
        for member in &mut self.members {
            let State::Running(running) = &mut member.state else {
                continue;
            };
            if running.stands_still() < STILL_MAX {
                continue;
            }
            if self.many && self.ending.is_none() && self.left < LEFT_MAX {
                self.left += 1;
                let why = "its loop stands still, and is left behind".to_owned();
                member.end((Err(Failure::Pipeline(why)), None), member.leaving.is_some());
            } else {
                is_alive = false;
            }
        }
        is_alive && self.left < LEFT_MAX
    }

    /// Starts what is due, and lets go of what has ended or hangs.
    fn settle(&mut self) {
        for member in &mut self.members {
            if let State::Running(running) = &mut member.state
                && running.told.is_some_and(|told| told.elapsed() >= END_MAX)
                && member.leaving.is_some()
            {
                tell(&format!("{}: it does not end; it is left behind", member.wanted.name));
                member.state = State::Done;
                self.left += 1;
            }
            if matches!(member.state, State::Running(_)) {
                continue;
            }
            if let Some(Some(next)) = member.leaving.take_if(|next| next.is_some()) {
                *member = Member::new(next, Arc::clone(&member.camera));
            }
        }
        let (gone, there) = self
            .members
            .drain(..)
            .partition::<Vec<_>, _>(|member| member.leaving.is_some() && !matches!(member.state, State::Running(_)));
        self.members = there;
        gone.iter().for_each(|member| self.cameras.remove(&member.wanted.name));
        if self.ending.is_some() {
            return;
        }
        for member in &mut self.members {
            if matches!(member.state, State::Waiting { until } if Instant::now() >= until) {
                self.runs += 1;
                member.start(self.runs, self.work, self.many, &self.tell);
            }
        }
    }
}

impl Member {
    /// Whether this is what it does, or will do.
    fn is_to_be(&self, wanted: &Wanted) -> bool {
        match &self.leaving {
            None => self.wanted.source == wanted.source,
            Some(next) => next.as_ref().is_some_and(|next| next.source == wanted.source),
        }
    }

    /// Ends it, for another one in its place or none.
    fn replace(&mut self, next: Option<Wanted>) {
        if let State::Running(running) = &mut self.state
            && running.told.is_none()
        {
            running.end();
        }
        self.leaving = Some(next);
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        matches!(self.state, State::Running(_))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{
        camera_run::Outcome,
        events::{Event, Events},
        options::Options,
        plan::Plan,
        watch::Camera,
    };

    fn wanted(name: &str, source: &str) -> Wanted {
        let flags = ["x", "--nats-url", "", "--codec", "h264", "--input-uri", "cam"];
        let plan = Plan::new(&Options::try_parse_from(flags).unwrap()).unwrap();
        Wanted { name: name.to_owned(), plan, source: vec![source.to_owned()] }
    }

    fn work(events: &Events, _: &Plan, camera: &Arc<Camera>) -> Outcome {
        assert!(camera.name() != "bad", "of no use");
        while !matches!(events.next(), Event::Signal) {}
        (Ok(()), None)
    }

    #[test]
    fn a_camera_that_panics_is_started_again_and_the_other_goes_on() {
        let cameras = Arc::<Cameras>::default();
        let mut fleet = Fleet::new(&cameras, work, true);
        let tell = fleet.teller();
        fleet.set(vec![wanted("good", ""), wanted("bad", "")]);
        let [good, bad] = ["good", "bad"].map(|name| cameras.find(name).unwrap());
        fleet.run(&mut || Err(String::new()), |_, phase| {
            if bad.starts() == 2 && !phase.is_ending {
                tell.send(Told::End).unwrap();
            }
        });
        assert_eq!(good.starts(), 1);
    }

    #[test]
    fn a_reload_touches_what_changed_alone() {
        let cameras = Arc::<Cameras>::default();
        let mut fleet = Fleet::new(&cameras, work, true);
        let tell = fleet.teller();
        fleet.set(vec![wanted("a", ""), wanted("b", ""), wanted("c", "")]);
        let (reply, answer) = mpsc::channel();
        tell.send(Told::Reload(Some(reply))).unwrap();
        let mut reread = || Ok((vec![wanted("a", ""), wanted("b", "other"), wanted("d", "")], String::new()));
        fleet.run(&mut reread, |members, phase| {
            let starts = |name| cameras.find(name).map_or(0, |camera| camera.starts());
            if (starts("a"), starts("b"), starts("c"), starts("d")) == (1, 2, 0, 1)
                && members.len() == 3
                && !phase.is_ending
            {
                tell.send(Told::End).unwrap();
            }
        });
        assert_eq!(answer.recv().unwrap(), Ok("1 as before, 1 changed, 1 new, 1 gone".to_owned()));
    }
}
