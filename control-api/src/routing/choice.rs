//! Which trunks serve a number, and in which order they are tried: by the longest prefix that fits,
//! then by priority, then by weight (RFC 2782), then as the account names them.

use crate::number::E164;
use std::cmp::Reverse;
use storage::Trunk;

/// How much of a number a trunk names; `None` if it does not serve it.
pub fn fit(trunk: &Trunk, number: &E164) -> Option<usize> {
    if trunk.prefixes.is_empty() {
        return Some(0);
    }
    let fitting = trunk.prefixes.iter().filter(|prefix| number.as_str().starts_with(*prefix));
    fitting.map(String::len).max()
}

/// The trunks that serve a number, in the order in which they are tried. `roll` gives a number
/// below its argument by chance.
pub fn order<'a, T>(
    trunks: &'a [T],
    of: impl Fn(&T) -> &Trunk,
    number: &E164,
    mut roll: impl FnMut(u32) -> u32,
) -> Vec<&'a T> {
    let rank = |one: &&T| {
        let trunk = of(one);
        fit(trunk, number).map(|fit| (Reverse(fit), trunk.priority))
    };
    let mut serving: Vec<&T> = trunks.iter().filter(|one| rank(one).is_some()).collect();
    serving.sort_by_key(|one| rank(one));
    let mut ordered = Vec::with_capacity(serving.len());
    for equals in serving.chunk_by(|one, other| rank(one) == rank(other)) {
        let mut left = equals.to_vec();
        while !left.is_empty() {
            let at = choose(left.iter().map(|one| of(one).weight.into()), &mut roll);
            ordered.push(left.remove(at));
        }
    }
    ordered
}

/// The place of the next of equals by their weights: those of weight 0 come last, in their order.
fn choose(weights: impl Iterator<Item = u32> + Clone, roll: &mut impl FnMut(u32) -> u32) -> usize {
    let sum: u32 = weights.clone().sum();
    if sum == 0 {
        return 0;
    }
    let mut left = roll(sum);
    for (at, weight) in weights.enumerate() {
        if left < weight {
            return at;
        }
        left -= weight;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number;
    use crate::routing::tests::trunk;
    use storage::{NumberFormat, Region};

    fn named(id: &str, change: impl FnOnce(&mut Trunk)) -> Trunk {
        let mut trunk = trunk(id, "127.0.0.1", NumberFormat::E164);
        change(&mut trunk);
        trunk
    }

    #[track_caller]
    fn check(trunks: &[Trunk], number: &str, rolls: &[u32], expected: &[&str]) {
        let number = number::normalise(number, Region::INDIA).unwrap();
        let mut rolls = rolls.iter().copied();
        let ordered = order(
            trunks,
            |trunk| trunk,
            &number,
            |below| rolls.next().filter(|roll| *roll < below).expect("a roll below the sum"),
        );
        let ids: Vec<&str> = ordered.iter().map(|trunk| trunk.id.as_str()).collect();
        assert_eq!(ids, expected);
        assert_eq!(rolls.next(), None, "each roll was used");
    }

    #[test]
    fn without_settings_the_accounts_order_holds() {
        let trunks = ["a", "b", "c"].map(|id| named(id, |_| {}));
        check(&trunks, "+919876543210", &[], &["a", "b", "c"]);
    }

    #[test]
    fn the_longest_prefix_decides_first_then_the_priority() {
        let prefixes = |list: &[&str]| list.iter().map(|text| text.to_string()).collect();
        let trunks = [
            named("all", |_| {}),
            named("late", |trunk| trunk.priority = 9),
            named("india", |trunk| {
                trunk.prefixes = prefixes(&["+1", "+91"]);
                trunk.priority = 5;
            }),
            named("mobile", |trunk| trunk.prefixes = prefixes(&["+91", "+9198"])),
            named("early", |trunk| {
                trunk.prefixes = prefixes(&["+91"]);
                trunk.priority = 1;
            }),
        ];
        check(&trunks, "+919876543210", &[], &["mobile", "early", "india", "all", "late"]);
        check(&trunks, "+912227782183", &[], &["mobile", "early", "india", "all", "late"]);
        check(&trunks, "+14155552671", &[], &["india", "all", "late"]);
        check(&trunks[2..], "+442079460000", &[], &[]);
    }

    // RFC 2782
    #[test]
    fn weights_share_the_calls_and_weight_nought_comes_last() {
        let weights = [("none", 0), ("half", 50), ("rest", 50), ("few", 10)];
        let trunks = weights.map(|(id, weight)| named(id, |trunk| trunk.weight = weight));
        check(&trunks, "+919876543210", &[0, 0, 0], &["half", "rest", "few", "none"]);
        check(&trunks, "+919876543210", &[109, 50, 0], &["few", "rest", "half", "none"]);
        check(&trunks, "+919876543210", &[50, 59, 49], &["rest", "few", "half", "none"]);
    }
}
