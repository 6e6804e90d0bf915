//! The faulty disk.

use std::time::Duration;

use heddle_store::{Disk, Fate, Fault};

use super::world::World;

impl Disk for World {
    fn commit(&self) -> Fate {
        let weather = self.weather();
        let mut chance = self.chance();
        let before = match chance.happens(weather.slow_disk) {
            true => Duration::from_millis(chance.between(5, 4_000)),
            false => Duration::from_millis(chance.below(3)),
        };
        let after = Duration::from_millis(chance.below(2));
        let fault = if chance.happens(weather.commit_fails) {
            Some(Fault::Commit)
        } else if chance.happens(weather.statement_fails) {
            Some(Fault::Statement(
                u32::try_from(chance.below(800)).unwrap_or_default(),
            ))
        } else {
            None
        };
        let dies = chance.happens(weather.crashes).then(|| chance.happens(500));
        drop(chance);
        if let Some(fault) = fault {
            self.note(format_args!("disk: {fault:?} fails"));
        }
        match dies {
            Some(true) if self.crash("before a commit") => Fate {
                before: Duration::MAX,
                ..Fate::default()
            },
            Some(false) if self.crash("after a commit, before its answer") => Fate {
                before,
                fault,
                after: Duration::MAX,
            },
            _ => Fate { before, fault, after },
        }
    }

    fn read(&self) -> Fate {
        let weather = self.weather();
        let mut chance = self.chance();
        let mut fate = Fate {
            before: Duration::from_millis(u64::from(chance.happens(100))),
            ..Fate::default()
        };
        let fails = chance.happens(weather.read_fails);
        drop(chance);
        if fails {
            self.note(format_args!("disk: a read fails"));
            fate.fault = Some(Fault::Commit);
        }
        fate
    }
}
