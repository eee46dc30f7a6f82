//! The taking of turns of `turns.rs` in every order there is: each thing that another thread can see is a step, and every state
//! that steps lead to is looked at once. `turns_model.rs` runs the very file, in those orders that loom gets through.
//!
//! A wake-up that is lost shows as a state from which nobody ever gets to the end.
//!
//! Longer than other files: it is one machine, with a step for each line of `turns.rs` that another thread can see.

use std::collections::{HashMap, HashSet, VecDeque};

/// What comes to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Event {
    /// The announcement of a frame.
    Frame(u8),
    /// The producer closed the connection; it is made anew when the follower looks again.
    Gone,
    /// `create()` is told to return.
    Flush,
}

/// A lookout, as the kernel knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Place {
    /// The socket is on its list of what is ready.
    is_told: bool,
    /// Somebody waits there for what comes.
    is_waited_at: bool,
    is_woken: bool,
    /// Somebody slept there, and does not any more.
    is_roused: bool,
}

/// The lookouts, as the kernel has them.
const CREATE: usize = 0;
const BEHIND: usize = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Turn {
    Mine,
    Theirs,
}

/// How far a thread is with following, once it has the follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Following {
    Begin,
    Connect,
    Read,
    LookForMore,
}

/// What following came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Followed {
    more: bool,
    /// It is to be looked again at once.
    again: bool,
}

/// Where `create()` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Create {
    Take(Turn),
    Wait,
    Sleep,
    StandAside,
    SleepAside,
    TryFollower,
    LookAtQueue,
    /// And whether it was to be looked again before: then the ingest thread does.
    Follow(Following, bool),
    LetGo(Followed),
    WakeBehind(Turn),
    EndAll,
    WakeForEnd,
    Done,
}

/// Where the ingest thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Behind {
    LookWhetherOver,
    TakeFollower,
    Follow(Following),
    LetGo(Followed),
    LookAtQueue(Followed),
    WakeCreate(Followed),
    Wait(Followed),
    Sleep(Followed),
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    unread: Vec<Event>,
    /// What waits for the next connection, while this one is closed.
    next_connection: Option<Vec<Event>>,
    to_come: &'static [Event],
    places: [Place; 2],
    queue: Option<u8>,
    is_flushing: bool,
    is_over: bool,
    /// Somebody follows.
    is_taken: bool,
    newest: u8,
    /// The connection is to be made anew.
    is_gone: bool,
    create: Create,
    behind: Behind,
    shown: u8,
    last: u8,
    /// A fault to be found: `create()` keeps to itself what it leaves unread.
    keeps_quiet: bool,
}

impl World {
    fn new(events: &'static [Event], keeps_quiet: bool) -> Self {
        let frames =
            events.iter().filter_map(|event| if let Event::Frame(frame) = event { Some(*frame) } else { None });
        Self {
            unread: Vec::new(),
            next_connection: None,
            to_come: events,
            places: [Place::default(); 2],
            queue: None,
            is_flushing: false,
            is_over: false,
            is_taken: false,
            newest: 0,
            is_gone: false,
            create: Create::Take(Turn::Mine),
            behind: Behind::LookWhetherOver,
            shown: 0,
            last: frames.max().unwrap_or(0),
            keeps_quiet,
        }
    }

    fn is_at_the_end(&self) -> bool {
        self.create == Create::Done && self.behind == Behind::Done && self.to_come.is_empty()
    }

    /// What each of the threads can make of it.
    fn steps(&self) -> Vec<World> {
        [Self::produce, Self::step_create, Self::step_behind]
            .into_iter()
            .filter_map(|step| {
                let mut next = self.clone();
                step(&mut next).then_some(next)
            })
            .collect()
    }

    fn produce(&mut self) -> bool {
        let Some((event, rest)) = self.to_come.split_first() else {
            return false;
        };
        self.to_come = rest;
        match event {
            Event::Flush => {
                self.is_flushing = true;
                self.wake(CREATE);
            }
            _ => self.receive(*event),
        }
        true
    }

    fn receive(&mut self, event: Event) {
        if let Some(later) = &mut self.next_connection {
            later.push(event);
            return;
        }
        self.unread.push(event);
        if event == Event::Gone {
            self.next_connection = Some(Vec::new());
        }
        for place in &mut self.places {
            place.is_told = true;
            if place.is_waited_at {
                (place.is_waited_at, place.is_roused) = (false, true);
                break;
            }
        }
    }

    fn connect(&mut self) {
        self.is_gone = false;
        self.unread = self.next_connection.take().unwrap_or_default();
        // It may be closed again by now.
        if let Some(end) = self.unread.iter().position(|event| *event == Event::Gone) {
            self.next_connection = Some(self.unread.split_off(end + 1));
        }
        let is_ready = !self.unread.is_empty();
        for place in &mut self.places {
            place.is_told = is_ready;
            if is_ready && place.is_waited_at {
                (place.is_waited_at, place.is_roused) = (false, true);
            }
        }
    }

    fn wake(&mut self, at: usize) {
        self.places[at].is_woken = true;
        self.places[at].is_roused = true;
    }

    /// What a wait there returns with: whether something changed. `None` while there is nothing.
    fn look(&mut self, at: usize) -> Option<bool> {
        let is_ready = !self.unread.is_empty();
        let place = &mut self.places[at];
        place.is_told &= is_ready;
        if place.is_told {
            return Some(true);
        }
        std::mem::take(&mut place.is_woken).then_some(false)
    }

    /// Sleeps there; what roused somebody else before does not rouse this one.
    fn sleep(&mut self, at: usize, for_what_comes: bool) {
        self.places[at].is_waited_at = for_what_comes;
        self.places[at].is_roused = false;
    }

    /// Whether somebody who sleeps there is roused.
    fn rouse(&mut self, at: usize) -> bool {
        let is_roused = std::mem::take(&mut self.places[at].is_roused);
        if is_roused {
            self.places[at].is_waited_at = false;
        }
        is_roused
    }

    /// One step of following; what it came to behind the last.
    fn follow(&mut self, at: Following) -> Result<Following, Followed> {
        match at {
            Following::Begin if self.is_over => Err(Followed { more: false, again: self.is_gone }),
            Following::Begin => Ok(if self.is_gone { Following::Connect } else { Following::Read }),
            Following::Connect => {
                self.connect();
                Ok(Following::Read)
            }
            Following::Read => {
                for event in std::mem::take(&mut self.unread) {
                    match event {
                        Event::Frame(frame) => {
                            assert!(frame > self.newest, "frame {frame} was taken again");
                            self.newest = frame;
                            self.queue = Some(frame);
                        }
                        Event::Gone | Event::Flush => self.is_gone = true,
                    }
                }
                Ok(Following::LookForMore)
            }
            Following::LookForMore => Err(Followed { more: !self.unread.is_empty(), again: self.is_gone }),
        }
    }

    fn step_create(&mut self) -> bool {
        let at = self.create;
        self.create = match at {
            Create::Take(_) if self.is_flushing => Create::EndAll,
            Create::Take(turn) => match self.queue.take() {
                Some(frame) => {
                    assert!(frame > self.shown, "frame {frame} after {}", self.shown);
                    self.shown = frame;
                    if frame == self.last { Create::EndAll } else { Create::Take(Turn::Mine) }
                }
                None if turn == Turn::Mine => Create::Wait,
                None => Create::StandAside,
            },
            Create::Wait => match self.look(CREATE) {
                Some(true) => Create::TryFollower,
                Some(false) => Create::Take(Turn::Mine),
                None => {
                    self.sleep(CREATE, true);
                    Create::Sleep
                }
            },
            Create::Sleep if self.rouse(CREATE) => Create::Wait,
            Create::StandAside => {
                if std::mem::take(&mut self.places[CREATE].is_woken) {
                    Create::Take(Turn::Mine)
                } else {
                    self.sleep(CREATE, false);
                    Create::SleepAside
                }
            }
            Create::SleepAside if self.rouse(CREATE) => Create::StandAside,
            Create::TryFollower if self.is_taken => Create::WakeBehind(Turn::Theirs),
            Create::TryFollower => {
                self.is_taken = true;
                Create::LookAtQueue
            }
            Create::LookAtQueue if self.queue.is_some() => Create::LetGo(Followed { more: true, again: false }),
            Create::LookAtQueue => Create::Follow(Following::Begin, self.is_gone),
            Create::Follow(at, was_gone) => match self.follow(at) {
                Ok(at) => Create::Follow(at, was_gone),
                Err(Followed { more, again }) => Create::LetGo(Followed { more, again: again && !was_gone }),
            },
            Create::LetGo(followed) => {
                self.is_taken = false;
                if followed.more || followed.again { Create::WakeBehind(Turn::Mine) } else { Create::Take(Turn::Mine) }
            }
            Create::WakeBehind(turn) => {
                if !self.keeps_quiet {
                    self.wake(BEHIND);
                }
                Create::Take(turn)
            }
            Create::EndAll => {
                self.is_over = true;
                Create::WakeForEnd
            }
            Create::WakeForEnd => {
                self.wake(BEHIND);
                Create::Done
            }
            Create::Sleep | Create::SleepAside | Create::Done => return false,
        };
        true
    }

    fn step_behind(&mut self) -> bool {
        let at = self.behind;
        self.behind = match at {
            Behind::LookWhetherOver if self.is_over => Behind::Done,
            Behind::LookWhetherOver => Behind::TakeFollower,
            Behind::TakeFollower if !self.is_taken => {
                self.is_taken = true;
                Behind::Follow(Following::Begin)
            }
            Behind::Follow(at) => match self.follow(at) {
                Ok(at) => Behind::Follow(at),
                Err(followed) => Behind::LetGo(followed),
            },
            Behind::LetGo(followed) => {
                self.is_taken = false;
                Behind::LookAtQueue(followed)
            }
            Behind::LookAtQueue(followed) if self.queue.is_some() => Behind::WakeCreate(followed),
            Behind::LookAtQueue(followed) if followed.more => Behind::LookWhetherOver,
            Behind::LookAtQueue(followed) => Behind::Wait(followed),
            Behind::WakeCreate(followed) => {
                self.wake(CREATE);
                if followed.more { Behind::LookWhetherOver } else { Behind::Wait(followed) }
            }
            Behind::Wait(followed) if self.look(BEHIND).is_some() || followed.again => Behind::LookWhetherOver,
            Behind::Wait(followed) => {
                self.sleep(BEHIND, true);
                Behind::Sleep(followed)
            }
            Behind::Sleep(followed) if self.rouse(BEHIND) => Behind::Wait(followed),
            Behind::TakeFollower | Behind::Sleep(_) | Behind::Done => return false,
        };
        true
    }
}

/// States that can be, and how many of them never get to the end.
fn explore(events: &'static [Event], keeps_quiet: bool) -> (usize, usize) {
    let mut numbers = HashMap::new();
    let mut reached_from = Vec::<Vec<usize>>::new();
    let mut ends = Vec::new();
    let mut to_do = VecDeque::from([World::new(events, keeps_quiet)]);
    numbers.insert(to_do[0].clone(), 0);
    reached_from.push(Vec::new());
    while let Some(world) = to_do.pop_front() {
        let number = numbers[&world];
        if world.is_at_the_end() {
            ends.push(number);
        }
        for next in world.steps() {
            let known = numbers.len();
            let at = *numbers.entry(next.clone()).or_insert(known);
            if at == known {
                reached_from.push(Vec::new());
                to_do.push_back(next);
            }
            reached_from[at].push(number);
        }
    }
    assert!(!ends.is_empty());
    let mut gets_there = ends.iter().copied().collect::<HashSet<_>>();
    while let Some(at) = ends.pop() {
        for &before in &reached_from[at] {
            if gets_there.insert(before) {
                ends.push(before);
            }
        }
    }
    (numbers.len(), numbers.len() - gets_there.len())
}

const THREE: &[Event] = &[Event::Frame(1), Event::Frame(2), Event::Frame(3)];
const FIVE: &[Event] = &[Event::Frame(1), Event::Frame(2), Event::Frame(3), Event::Frame(4), Event::Frame(5)];
const LOST: &[Event] = &[Event::Frame(1), Event::Gone, Event::Frame(2), Event::Gone, Event::Frame(3)];
const FLUSHED: &[Event] = &[Event::Frame(1), Event::Frame(2), Event::Flush, Event::Frame(3)];

#[test]
fn in_every_order_the_newest_frame_comes_and_nobody_waits_for_ever() {
    for events in [THREE, FIVE, LOST, FLUSHED] {
        let (states, stuck) = explore(events, false);
        println!("{events:?}: {states} states");
        assert_eq!(stuck, 0, "{events:?}: of {states} states");
        assert!(states > 1000, "{events:?}: {states} states are not all");
    }
}

#[test]
fn a_wake_up_that_is_left_out_is_found() {
    assert!([THREE, LOST].into_iter().any(|events| explore(events, true).1 > 0));
}
