//! What of another configuration can be taken over while the registrar runs.

use super::Config;

impl Config {
    /// `new`, but with what cannot be changed while the registrar runs as it is in `self`; and the names of those keys
    /// that were different.
    pub fn reloaded(&self, mut new: Self) -> (Self, Vec<&'static str>) {
        let mut fixed = Vec::new();
        let mut keep = |name, changed| {
            if changed {
                fixed.push(name);
            }
        };
        keep("listen", self.listen != new.listen);
        new.listen.clone_from(&self.listen);
        keep("identifier", self.identifier != new.identifier);
        new.identifier = self.identifier;
        keep("runtime_dir", self.runtime_dir != new.runtime_dir);
        new.runtime_dir.clone_from(&self.runtime_dir);
        keep("enrp.listen", self.enrp.listen != new.enrp.listen);
        new.enrp.listen.clone_from(&self.enrp.listen);
        keep("http.listen", self.http.listen != new.http.listen);
        new.http.listen.clone_from(&self.http.listen);
        keep("http.connections", self.http.connections != new.http.connections);
        new.http.connections = self.http.connections;
        (new, fixed)
    }
}
