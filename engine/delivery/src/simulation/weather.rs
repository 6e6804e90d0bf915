//! What goes wrong in a run, and how often.

use super::chance::Chance;

/// Each in a thousand times.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// The receiver answers 400, 401, 410; 500; 429.
    pub refuses: u64,
    pub unauthorized: u64,
    pub gone: u64,
    pub errors: u64,
    pub throttles: u64,
    /// It never answers, having acted or not.
    pub hangs: u64,
    /// It acts, and the answer is lost.
    pub answer_lost: u64,
    /// It cannot be reached.
    pub unreachable: u64,
    /// The task of the attempt dies, and nothing else.
    pub defects: u64,
    /// A commit, a statement, a read fails; a commit takes long.
    pub commit_fails: u64,
    pub statement_fails: u64,
    pub read_fails: u64,
    pub slow_disk: u64,
    /// The process dies at an edge of I/O: before or after a commit, before or after the receiver acts.
    pub crashes: u64,
    /// Of the steps of a run.
    pub outages: u64,
    pub restarts: u64,
    pub clock_jumps: u64,
    pub people: u64,
    /// Somebody has history deleted.
    pub prunes: u64,
}

impl Weather {
    /// Some seeds have one kind of trouble, most have several.
    pub fn of(chance: &mut Chance) -> Self {
        let storm = Self::storm(chance);
        match chance.below(10) {
            0 => Self::default(),
            1 => Self {
                commit_fails: 0,
                statement_fails: 0,
                read_fails: 0,
                crashes: 0,
                restarts: 0,
                clock_jumps: 0,
                people: 0,
                prunes: 0,
                ..storm
            },
            2 => Self {
                commit_fails: chance.between(20, 200),
                statement_fails: chance.between(20, 200),
                read_fails: chance.below(50),
                slow_disk: chance.below(100),
                ..Self::default()
            },
            3 => Self {
                crashes: chance.between(5, 60),
                restarts: 20,
                ..Self::default()
            },
            4 => Self {
                clock_jumps: chance.between(20, 150),
                errors: 100,
                defects: chance.below(40),
                ..Self::default()
            },
            _ => storm,
        }
    }

    /// Half of what there is, each as bad as chance has it.
    fn storm(chance: &mut Chance) -> Self {
        let mut often = |most: u64| match chance.below(2) {
            0 => 0,
            _ => chance.between(1, most),
        };
        Self {
            refuses: often(60),
            unauthorized: often(30),
            gone: often(20),
            errors: often(400),
            throttles: often(200),
            hangs: often(100),
            answer_lost: often(200),
            unreachable: often(200),
            defects: often(40),
            commit_fails: often(150),
            statement_fails: often(150),
            read_fails: often(50),
            slow_disk: often(100),
            crashes: often(30),
            outages: often(60),
            restarts: often(30),
            clock_jumps: often(100),
            people: often(400),
            prunes: often(100),
        }
    }

    pub fn is_fair(&self) -> bool {
        format!("{self:?}") == format!("{:?}", Self::default())
    }
}
