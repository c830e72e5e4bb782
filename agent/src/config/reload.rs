//! What of another configuration can be taken over while the daemon runs.

use super::sources::{Difference, Loaded};

/// Keys whose change waits for the next start: what was done with their values at the start stays done.
const AT_START: [&str; 7] = [
    "agent.runtime_dir",
    "agent.enable_addip",
    "agent.manage_routes",
    "agent.nice",
    "agent.return_after",
    "agent.flap_half_life",
    "agent.receive_buffer",
];

impl Loaded {
    /// `new`, but with what waits for the next start as it is in `self`; and all that differs, each with whether it
    /// holds from now on.
    pub fn reloaded(&self, mut new: Self) -> (Self, Vec<(Difference, bool)>) {
        let differences = self.effective.difference(&new.effective);
        let agent = &mut new.config.agent;
        agent.runtime_dir.clone_from(&self.config.agent.runtime_dir);
        agent.enable_addip = self.config.agent.enable_addip;
        agent.manage_routes = self.config.agent.manage_routes;
        agent.nice = self.config.agent.nice;
        agent.return_after = self.config.agent.return_after;
        agent.flap_half_life = self.config.agent.flap_half_life;
        agent.receive_buffer = self.config.agent.receive_buffer;
        for key in AT_START {
            if let Some(old) = self.effective.0.get(key) {
                new.effective.0.insert(key.to_owned(), old.clone());
            }
        }
        let applied = |difference: &Difference| !AT_START.contains(&difference.key.as_str());
        let told = differences.into_iter().map(|difference| (applied(&difference), difference));
        (new, told.map(|(applied, difference)| (difference, applied)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sources::merge;
    use super::*;

    fn of(text: &str) -> Loaded {
        merge(&[("agent.toml".into(), text.to_owned())]).unwrap()
    }

    #[test]
    fn what_waits_for_the_next_start_stays_and_is_told_at_each_reload() {
        let old = of("");
        let text = "[agent]\nreturn_after = \"9s\"\nflap_half_life = \"9s\"\nreceive_buffer = 9999\nnice = 5\nenable_addip = false\nmanage_routes = false\nruntime_dir = \"/x\"\npoll = \"1s\"\n";
        let (now, differences) = old.reloaded(of(text));
        let mut expected = old.config.clone();
        expected.agent.poll = std::time::Duration::from_secs(1);
        assert_eq!(now.config, expected);
        let told: Vec<_> = differences.iter().map(|(it, applied)| (it.key.as_str(), *applied)).collect();
        let mut all: Vec<_> = AT_START.map(|key| (key, false)).into();
        all.push(("agent.poll", true));
        all.sort_unstable();
        assert_eq!(told, all);
        let (_, again) = now.reloaded(of(text));
        assert_eq!(again.len(), AT_START.len());
    }
}
