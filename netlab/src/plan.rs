//! The difference between what should be and what is, as ordered steps.
//!
//! Law: applying [`difference`]`(desired, observed)` to `observed` gives `desired`;
//! applying its [`Plan::reverse`] to that gives `observed` back; the difference of
//! equals is empty.
//!
//! Order of steps: creations by ascending key, updates by ascending key, deletions by
//! descending key. So with keys that sort as their objects depend on each other
//! (a link before its addresses), nothing is made before what it stands on, and
//! nothing is removed from under something else. Creating before deleting means that
//! a replacement is in place before what it replaces goes.

use std::{collections::BTreeMap, fmt};

/// One change to one keyed object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<K, V> {
    /// The object should be there and is not.
    Create(K, V),
    /// The object is there, but differs.
    Update {
        /// Whose value changes.
        key: K,
        /// The value observed.
        from: V,
        /// The value desired.
        to: V,
    },
    /// The object is there, as given, and should not be.
    Delete(K, V),
}

impl<K, V> Step<K, V> {
    /// The key that this step is about.
    pub const fn key(&self) -> &K {
        match self {
            Self::Create(key, _) | Self::Update { key, .. } | Self::Delete(key, _) => key,
        }
    }

    /// The step that undoes this one.
    #[must_use]
    pub fn reverse(self) -> Self {
        match self {
            Self::Create(key, value) => Self::Delete(key, value),
            Self::Update { key, from, to } => Self::Update { key, from: to, to: from },
            Self::Delete(key, value) => Self::Create(key, value),
        }
    }
}

/// Steps in the order in which to take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<K, V> {
    steps: Vec<Step<K, V>>,
}

/// What turns `observed` into `desired`.
#[must_use]
pub fn difference<K, V>(desired: &BTreeMap<K, V>, observed: &BTreeMap<K, V>) -> Plan<K, V>
where
    K: Ord + Clone,
    V: PartialEq + Clone,
{
    let creates = desired
        .iter()
        .filter(|(key, _)| !observed.contains_key(*key))
        .map(|(key, value)| Step::Create(key.clone(), value.clone()));
    let updates = desired.iter().filter_map(|(key, to)| {
        let from = observed.get(key).filter(|from| *from != to)?;
        Some(Step::Update { key: key.clone(), from: from.clone(), to: to.clone() })
    });
    let deletes = observed
        .iter()
        .rev()
        .filter(|(key, _)| !desired.contains_key(*key))
        .map(|(key, value)| Step::Delete(key.clone(), value.clone()));
    Plan { steps: creates.chain(updates).chain(deletes).collect() }
}

impl<K, V> Plan<K, V> {
    /// True where observed and desired agree.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The number of steps.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.steps.len()
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step<K, V>] {
        &self.steps
    }

    /// The plan that undoes this one, last step first. Its order is again creations,
    /// updates, deletions, with the updates by descending key.
    #[must_use]
    pub fn reverse(self) -> Self {
        Self { steps: self.steps.into_iter().rev().map(Step::reverse).collect() }
    }
}

impl<K, V> IntoIterator for Plan<K, V> {
    type Item = Step<K, V>;
    type IntoIter = std::vec::IntoIter<Step<K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.steps.into_iter()
    }
}

/// `3 to create, 1 to update, 0 to delete`.
impl<K, V> fmt::Display for Plan<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count =
            |wanted: fn(&Step<K, V>) -> bool| self.steps.iter().filter(|s| wanted(s)).count();
        write!(
            f,
            "{} to create, {} to update, {} to delete",
            count(|step| matches!(step, Step::Create(..))),
            count(|step| matches!(step, Step::Update { .. })),
            count(|step| matches!(step, Step::Delete(..))),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, prelude::*};

    use super::*;

    #[test]
    fn creates_come_first_ascending_and_deletes_last_descending() {
        let desired = BTreeMap::from([(1, 'a'), (3, 'c'), (5, 'e'), (6, 'f')]);
        let observed = BTreeMap::from([(2, 'b'), (3, 'x'), (4, 'd'), (5, 'e')]);
        let plan = difference(&desired, &observed);
        assert_eq!(
            plan.steps(),
            [
                Step::Create(1, 'a'),
                Step::Create(6, 'f'),
                Step::Update { key: 3, from: 'x', to: 'c' },
                Step::Delete(4, 'd'),
                Step::Delete(2, 'b'),
            ]
        );
        assert_eq!(plan.to_string(), "2 to create, 1 to update, 2 to delete");
    }

    proptest! {
        #[test]
        fn applying_a_plan_gives_desired_and_its_reverse_gives_observed(
            desired in maps(), observed in maps(),
        ) {
            let plan = difference(&desired, &observed);
            prop_assert_eq!(plan.is_empty(), desired == observed);
            let applied = apply(&plan, observed.clone());
            prop_assert_eq!(&applied, &desired);
            prop_assert_eq!(apply(&plan.clone().reverse(), applied), observed);
            prop_assert_eq!(plan.clone().reverse().reverse(), plan);
        }

        #[test]
        fn the_difference_of_equals_is_empty(map in maps()) {
            prop_assert!(difference(&map, &map).is_empty());
        }
    }

    fn maps() -> impl Strategy<Value = BTreeMap<u8, u8>> {
        btree_map(0_u8..12, 0_u8..3, 0..10)
    }

    /// Applies strictly: a step whose premise does not hold is a failure.
    fn apply(plan: &Plan<u8, u8>, mut map: BTreeMap<u8, u8>) -> BTreeMap<u8, u8> {
        for step in plan.steps().iter().cloned() {
            match step {
                Step::Create(key, value) => assert_eq!(map.insert(key, value), None),
                Step::Update { key, from, to } => assert_eq!(map.insert(key, to), Some(from)),
                Step::Delete(key, value) => assert_eq!(map.remove(&key), Some(value)),
            }
        }
        map
    }
}
