//! Which pictures are written, and which of them together, by the timestamps alone: what is damaged is known when it is
//! read.

use std::{cmp::Reverse, ops::RangeInclusive};

use tools_cli::failure::Failure;

use super::{
    PROGRAM, nearest,
    policy::{CopyRange, Policy},
};
use crate::{range, source::Facts, start};

/// A camera of a single picture has no interval; a 30th of a second.
pub const INTERVAL: u64 = 33_333_333;
/// Cameras are as slow as the slowest one when their intervals differ by no more than this part.
const SAME_INTERVAL: u64 = 10;
/// How far the members of a bundle are apart, when it is strict and nobody says: an interval of the usual cameras.
pub const TOLERANCE: u64 = 33_000_000;

/// What is written, in its order.
#[derive(Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Pictures of each camera that are to be read.
    pub ranges: Vec<RangeInclusive<usize>>,
    /// Moments whose members are too far apart.
    pub dropped: usize,
}

/// What is written together.
#[derive(Debug, PartialEq)]
pub struct Step {
    pub bundle: Option<Bundle>,
    pub members: Vec<Member>,
}

/// What a bundle is called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bundle {
    /// Counted from the common start.
    pub index: u64,
    pub timestamp: u64,
}

/// A camera's part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member {
    pub camera: usize,
    /// None where the camera has no picture of that moment.
    pub picture: Option<usize>,
}

/// A part of what there is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    pub start: Option<usize>,
    pub end: Option<usize>,
}

impl Plan {
    /// One camera's pictures.
    ///
    /// # Errors
    /// When the part that is asked for is not there.
    pub fn one(facts: &Facts, part: Part) -> Result<Self, Failure> {
        let range = range::chosen(PROGRAM, "picture", facts.frames(), part.start, part.end)?;
        let alone = |picture| Step { bundle: None, members: vec![Member { camera: 0, picture: Some(picture) }] };
        Ok(Self { steps: range.clone().map(alone).collect(), ranges: vec![range], dropped: 0 })
    }

    /// Several cameras' pictures. `labels` are for what is said of them.
    ///
    /// # Errors
    /// When they have nothing in common, or the part that is asked for is not there.
    pub fn several(
        facts: &[&Facts],
        labels: &[&str],
        policy: Policy,
        tolerance: u64,
        copied: CopyRange,
        part: Part,
    ) -> Result<Self, Failure> {
        if (policy, copied) == (Policy::Copy, CopyRange::Full) {
            return Ok(Self::copy(facts, 0..=u64::MAX));
        }
        let (first, last) = common(facts, labels)?;
        let plan = match policy {
            Policy::Copy => Self::copy(facts, first..=last),
            Policy::Nearest => Self::bundles(facts, first..=last, u64::MAX, part)?,
            Policy::Strict => Self::bundles(facts, first..=last, tolerance, part)?,
        };
        if let Some(lacks) = plan.ranges.iter().position(RangeInclusive::is_empty) {
            return Err(Failure::Configuration(format!(
                "{} has no picture in the part that is asked for; give another part, or recordings of the same time",
                labels[lacks]
            )));
        }
        Ok(plan)
    }

    /// Every picture of a time by itself.
    fn copy(facts: &[&Facts], time: RangeInclusive<u64>) -> Self {
        let mut pictures = Vec::new();
        for (camera, facts) in facts.iter().enumerate() {
            let taken = facts.timestamps.iter().enumerate().filter(|(_, timestamp)| time.contains(*timestamp));
            pictures.extend(taken.map(|(picture, timestamp)| (*timestamp, camera, picture)));
        }
        pictures.sort_unstable();
        let alone =
            |(_, camera, picture)| Step { bundle: None, members: vec![Member { camera, picture: Some(picture) }] };
        Self::of(pictures.into_iter().map(alone).collect(), facts.len(), 0)
    }

    /// Bundles on the timeline of the slowest camera.
    fn bundles(facts: &[&Facts], time: RangeInclusive<u64>, tolerance: u64, part: Part) -> Result<Self, Failure> {
        let intervals: Vec<_> = facts.iter().map(|facts| facts.interval().unwrap_or(INTERVAL)).collect();
        let interval = intervals.iter().copied().max().unwrap_or(INTERVAL);
        // What is damaged may have the time of the one before.
        let distinct = |facts: &Facts| {
            facts.timestamps.chunk_by(|one, next| one == next).filter(|same| time.contains(&same[0])).count()
        };
        // One of equally slow cameras that has lost pictures would hide it.
        let timeline = (0..facts.len())
            .filter(|camera| intervals[*camera] >= interval - interval / SAME_INTERVAL)
            .min_by_key(|camera| Reverse(distinct(facts[*camera])))
            .expect("one of them is the slowest");
        let timestamps = &facts[timeline].timestamps;
        let position = |moment| start::position_at(timestamps, moment).expect("it is of the common time");
        let mut moments = timestamps[position(*time.start())..=position(*time.end())].to_vec();
        moments.dedup();
        let pictures: Vec<_> =
            facts.iter().map(|facts| nearest::assign(&facts.timestamps, &moments, interval)).collect();
        let mut steps = Vec::new();
        let mut loose = Vec::new();
        for (at, &timestamp) in moments.iter().enumerate() {
            let members = pictures.iter().enumerate().map(|(camera, of)| Member { camera, picture: of[at] });
            let members: Vec<_> = members.collect();
            if tolerance < u64::MAX && skew(&members, facts).is_none_or(|skew| skew > tolerance) {
                loose.push(steps.len());
                continue;
            }
            let bundle = Some(Bundle { index: steps.len() as u64, timestamp });
            steps.push(Step { bundle, members });
        }
        if steps.is_empty() {
            return Err(Failure::Threshold(format!(
                "none of {} bundles keeps the tolerance; take a greater --sync-tolerance-ms, or --bundle-policy nearest",
                moments.len()
            )));
        }
        let chosen = range::chosen(PROGRAM, "bundle", steps.len(), part.start, part.end)?;
        // Those behind the last bundle are in no part that ends before.
        let is_last = chosen.end() + 1 == steps.len();
        let dropped =
            loose.iter().filter(|&&before| before >= *chosen.start() && (is_last || before <= *chosen.end())).count();
        steps.truncate(chosen.end() + 1);
        Ok(Self::of(steps.split_off(*chosen.start()), facts.len(), dropped))
    }

    fn of(steps: Vec<Step>, cameras: usize, dropped: usize) -> Self {
        // Empty, until there is a picture.
        let mut ranges = vec![(usize::MAX, 0); cameras];
        for Member { camera, picture } in steps.iter().flat_map(|step| &step.members) {
            if let Some(picture) = *picture {
                let (first, last) = ranges[*camera];
                ranges[*camera] = (first.min(picture), last.max(picture));
            }
        }
        Self { steps, ranges: ranges.into_iter().map(|(first, last)| first..=last).collect(), dropped }
    }
}

/// The time that all cameras recorded.
fn common(facts: &[&Facts], labels: &[&str]) -> Result<(u64, u64), Failure> {
    let clock = facts[0].clock;
    if let Some(other) = facts.iter().position(|facts| facts.clock != clock) {
        return Err(Failure::Configuration(format!(
            "{} and {} were recorded by different clocks ({} and {}); give recordings of one clock, or take \
             --bundle-policy copy --copy-range full",
            labels[0],
            labels[other],
            clock.name(),
            facts[other].clock.name()
        )));
    }
    let firsts = facts.iter().map(|facts| facts.timestamps[0]);
    let first = start::common_start(firsts).expect("there is a recording");
    let ends = facts.iter().enumerate().map(|(camera, facts)| (facts.timestamps[facts.frames() - 1], camera));
    let (last, camera) = ends.min().expect("there is a recording");
    if last < first {
        return Err(Failure::Configuration(format!(
            "{} ended before another camera began; give recordings of the same time, or take --bundle-policy copy \
             --copy-range full",
            labels[camera]
        )));
    }
    Ok((first, last))
}

/// How far the members of a bundle are apart; none when one is missing.
fn skew(members: &[Member], facts: &[&Facts]) -> Option<u64> {
    let timestamps = members.iter().map(|member| Some(facts[member.camera].timestamps[member.picture?]));
    let timestamps = timestamps.collect::<Option<Vec<_>>>()?;
    Some(timestamps.iter().max()? - timestamps.iter().min()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Clock;

    fn facts(timestamps: impl IntoIterator<Item = u64>) -> Facts {
        Facts {
            provider: "test",
            compression: "none",
            serial: None,
            rectified: None,
            intrinsics: None,
            clock: Clock::Boot,
            timestamps: timestamps.into_iter().collect(),
        }
    }

    fn plan(cameras: &[Facts], policy: Policy, tolerance: u64, copied: CopyRange, part: Part) -> Result<Plan, Failure> {
        let labels: Vec<_> = (0..cameras.len()).map(|camera| format!("zed{camera}")).collect();
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        Plan::several(&cameras.iter().collect::<Vec<_>>(), &labels, policy, tolerance, copied, part)
    }

    fn members(plan: &Plan) -> Vec<Vec<Option<usize>>> {
        plan.steps.iter().map(|step| step.members.iter().map(|member| member.picture).collect()).collect()
    }

    #[test]
    fn the_slowest_camera_is_the_timeline_from_the_common_start_to_the_common_end() {
        let slow = facts((0..6).map(|at| 1000 + at * 100));
        let fast = facts((0..40).map(|at| 1110 + at * 33));
        let plan = plan(&[fast, slow], Policy::Nearest, 0, CopyRange::Common, Part::default()).unwrap();
        // The common time is from 1110 to 1500.
        let times: Vec<_> = plan.steps.iter().map(|step| step.bundle.unwrap()).collect();
        let expected = |index: u64| Bundle { index, timestamp: 1100 + index * 100 };
        assert_eq!(times, (0..5).map(expected).collect::<Vec<_>>());
        assert_eq!(members(&plan), [[0, 1], [3, 2], [6, 3], [9, 4], [12, 5]].map(|of| of.map(Some).to_vec()));
        assert_eq!(plan.ranges, [0..=12, 1..=5]);
    }

    #[test]
    fn an_equally_slow_camera_with_a_pause_does_not_hide_it() {
        let paused = facts((0..30).filter(|at| !(10..20).contains(at)).map(|at| at * 101));
        let steady = facts((0..30).map(|at| at * 100));
        let plan = plan(&[paused, steady], Policy::Nearest, 0, CopyRange::Common, Part::default()).unwrap();
        assert_eq!(plan.steps.len(), 30);
        assert_eq!(members(&plan).iter().filter(|of| of[0].is_none()).count(), 10);
    }

    #[test]
    fn strict_bundles_keep_the_tolerance_and_are_numbered_without_gaps() {
        let one = facts((0..20).map(|at| at * 100));
        // It drifts away, and is too far away from the tenth on.
        let other = facts((0..20).map(|at| at * 102));
        let cameras = [one, other];
        let strict = |tolerance, part| plan(&cameras, Policy::Strict, tolerance, CopyRange::Common, part);
        let all = strict(18, Part::default()).unwrap();
        assert_eq!((all.steps.len(), all.dropped), (10, 10));
        let part = strict(18, Part { start: Some(3), end: Some(5) }).unwrap();
        let indices: Vec<_> = part.steps.iter().map(|step| step.bundle.unwrap().index).collect();
        assert_eq!((indices, part.dropped), (vec![3, 4, 5], 0));
        assert!(matches!(strict(18, Part { start: Some(10), end: None }), Err(Failure::Configuration(_))));
        let apart = [facts((0..20).map(|at| at * 100)), facts((0..20).map(|at| 50 + at * 100))];
        let none = plan(&apart, Policy::Strict, 10, CopyRange::Common, Part::default());
        assert!(matches!(none, Err(Failure::Threshold(_))));
    }

    #[test]
    fn copies_are_in_the_order_of_their_time() {
        let cameras = [facts([0, 10, 20, 30]), facts([15, 25, 35, 45])];
        let copy = |copied| plan(&cameras, Policy::Copy, 0, copied, Part::default()).unwrap();
        let order = |plan: &Plan| -> Vec<_> {
            plan.steps.iter().map(|step| (step.members[0].camera, step.members[0].picture.unwrap())).collect()
        };
        assert_eq!(order(&copy(CopyRange::Common)), [(1, 0), (0, 2), (1, 1), (0, 3)]);
        assert_eq!(copy(CopyRange::Full).steps.len(), 8);
        assert!(copy(CopyRange::Full).steps.iter().all(|step| step.bundle.is_none()));
    }

    #[test]
    fn what_has_no_time_in_common_is_refused() {
        let apart = [facts([0, 10]), facts([20, 30])];
        assert!(matches!(
            plan(&apart, Policy::Nearest, 0, CopyRange::Common, Part::default()),
            Err(Failure::Configuration(why)) if why.contains("zed0 ended before")
        ));
        let clocks = [facts([0, 10]), Facts { clock: Clock::Unix, ..facts([0, 10]) }];
        assert!(plan(&clocks, Policy::Strict, 0, CopyRange::Common, Part::default()).is_err());
        assert!(plan(&clocks, Policy::Copy, 0, CopyRange::Full, Part::default()).is_ok());
    }
}
