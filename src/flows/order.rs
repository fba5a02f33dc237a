//! The order of the label variables: labels of one rule are placed side by side, so that sets stay small.
//!
//! ```text
//! {a=1}/* -> {x=1}/*, {b=1}/* -> {y=1}/*      source a, destination x, source b, destination y
//! ```
//!
//! Twenty such pairs make a set of 86 nodes and edges in this order, and of two million if all labels of the sources
//! come before all labels of the destinations. The algorithm is FORCE (Aloul, Markov, Sakallah 2003). Each round
//! computes the middle of each rule's labels and moves every label to the mean of the middles of its rules; the round
//! with the shortest rules wins. Nothing is random, so every run gives the same order.

use std::collections::BTreeMap;

/// Returns the position of each of `count` variables: the label `k` of the judged pods is `2k`, that of the others
/// `2k + 1`. `together` lists the variables of one rule, each list with the number of such rules.
pub(super) fn order(count: usize, together: &BTreeMap<Vec<u32>, u32>) -> Vec<u32> {
    let mut best: Vec<u32> = (0..count as u32).collect();
    let mut length = length_of(&best, together);
    let mut places = best.clone();
    let rounds = 10 + 4 * count.max(1).ilog2();
    for _ in 0..rounds {
        let moved = pulled(&places, together);
        // If one round moves nothing, no later round does.
        if moved == places {
            break;
        }
        places = moved;
        let now = length_of(&places, together);
        if now < length {
            (length, best) = (now, places.clone());
        }
    }
    apart(&judged_first(best), together)
}

/// Puts the judged pods first where the two variables of one label are neighbours: rules exclude other peers for each
/// of the judged pods, and no other judged pods for each peer.
fn judged_first(mut places: Vec<u32>) -> Vec<u32> {
    for pair in places.chunks_exact_mut(2) {
        if let [judged, other] = pair
            && *judged == *other + 1
        {
            std::mem::swap(judged, other);
        }
    }
    places
}

/// Moves labels apart that no chain of rules joins, so that each family of joined labels is contiguous.
fn apart(places: &[u32], together: &BTreeMap<Vec<u32>, u32>) -> Vec<u32> {
    let mut family: Vec<u32> = places.to_vec();
    // The family of a variable is the lowest position among all variables that it is joined with.
    loop {
        let mut changed = false;
        for list in together.keys() {
            let first = list.iter().map(|variable| family[*variable as usize]).min().unwrap_or(0);
            for variable in list {
                changed |= family[*variable as usize] > first;
                family[*variable as usize] = first;
            }
        }
        if !changed {
            break;
        }
    }
    let mut sorted: Vec<usize> = (0..places.len()).collect();
    sorted.sort_by_key(|variable| (family[*variable], places[*variable]));
    let mut moved = vec![0; places.len()];
    for (place, variable) in sorted.into_iter().enumerate() {
        moved[variable] = place as u32;
    }
    moved
}

/// Returns the sum of the lengths of all rules: for each, the distance from its first label to its last.
fn length_of(places: &[u32], together: &BTreeMap<Vec<u32>, u32>) -> u64 {
    let reach = |list: &Vec<u32>| {
        let at = || list.iter().map(|variable| places[*variable as usize]);
        u64::from(at().max().unwrap_or(0) - at().min().unwrap_or(0))
    };
    together.iter().map(|(list, times)| reach(list) * u64::from(*times)).sum()
}

/// Moves every variable to the mean of the middles of its rules. A variable without a rule stays at its position.
fn pulled(places: &[u32], together: &BTreeMap<Vec<u32>, u32>) -> Vec<u32> {
    let mut sums = vec![(0.0, 0.0); places.len()];
    for (list, times) in together {
        let middle = list.iter().map(|variable| f64::from(places[*variable as usize])).sum::<f64>() / list.len() as f64;
        for variable in list {
            let (sum, weight) = &mut sums[*variable as usize];
            *sum += middle * f64::from(*times);
            *weight += f64::from(*times);
        }
    }
    let mut sorted: Vec<(f64, u32, usize)> = sums
        .iter()
        .zip(places)
        .enumerate()
        .map(|(variable, ((sum, weight), place))| {
            let wanted = if *weight > 0.0 { sum / weight } else { f64::from(*place) };
            (wanted, *place, variable)
        })
        .collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut moved = vec![0; places.len()];
    for (place, (.., variable)) in sorted.into_iter().enumerate() {
        moved[variable] = place as u32;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_the_judged_pods_is_tested_before_that_of_their_peers() {
        // `allow egress shop/{app=w1} -> db/{app=d1}`, again and again, and the way to the pods of the cluster's DNS
        // that each rule opens: these pull the labels of the source away from those of the destination.
        let [source, destination, other] = [0, 1, 3];
        let rules = BTreeMap::from([(vec![source, destination], 100), (vec![source, other], 100)]);
        let places = order(4, &rules);
        assert!(places[0] < places[1], "{places:?}");
        // Labels of one rule stay side by side.
        assert!(length_of(&places, &rules) <= 300, "{places:?}");
    }

    #[test]
    fn every_variable_has_a_place_of_its_own() {
        let rules = BTreeMap::from([(vec![0, 3], 2), (vec![1, 4, 5], 1), (vec![2, 3], 7)]);
        let mut places = order(8, &rules);
        places.sort_unstable();
        assert_eq!(places, (0..8).collect::<Vec<u32>>());
    }
}
