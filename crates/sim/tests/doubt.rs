//! What was begun and may not be repeated is handed to nobody, even where nobody has recovered the scope yet.

use std::collections::BTreeSet;

use oarlock_core::crew::Line;
use oarlock_core::machine::{Entry, Scope};
use oarlock_core::session::Session;
use oarlock_sim::{cases, scenario::Setting};

#[test]
fn a_delivery_begun_is_not_begun_again_before_it_was_recovered() {
    let mut begun = 0;
    for seed in 0..200 {
        let scenario = cases::play(&cases::script_of(seed), Setting::default());
        let Ok(scenario) = scenario else { panic!("every world is sound, and that of seed {seed} is not") };
        let lines = scenario.store.after(0);
        let mut scopes = std::collections::BTreeMap::<_, Scope<Session>>::new();
        for stamped in &lines {
            let Line::Session(id, entry) = &stamped.line else { continue };
            let scope = scopes.entry(id.clone()).or_default();
            scope.record(stamped.seq, stamped.at, entry);
            if let Entry::Started(key) = entry
                && key.kind() == "message"
            {
                begun += 1;
                let again = scope.runnable(&BTreeSet::new()).effects;
                assert!(!again.contains_key(key), "{key} is in doubt, so nobody may type it");
            }
        }
    }
    assert!(begun > 20, "the scripts begin deliveries; these began {begun}");
}
