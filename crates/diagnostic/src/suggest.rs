/// The name among `names` that `given` was probably meant to be.
///
/// Case is ignored; of the letters at most a third may differ, and at most 3 (optimal string alignment distance). Names longer than 64 bytes are not considered. Of equally near names the first wins.
pub fn nearest<'n>(given: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    const NAME_BYTES_MAX: usize = 64;
    if given.is_empty() || given.len() > NAME_BYTES_MAX {
        return None;
    }
    let bound = (given.chars().count() / 3).min(3);
    let folded: Vec<char> = given.to_lowercase().chars().collect();
    let mut best: Option<(usize, &'n str)> = None;
    for name in names {
        if name == given || name.len() > NAME_BYTES_MAX {
            continue;
        }
        let other: Vec<char> = name.to_lowercase().chars().collect();
        if other.len().abs_diff(folded.len()) > bound {
            continue;
        }
        let distance = distance(&folded, &other);
        if distance <= bound && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// The help that goes with an unknown name: `did you mean `x`?`, if something is near enough.
pub fn did_you_mean<'n>(given: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    nearest(given, names).map(|name| format!("did you mean `{name}`?"))
}

/// Insertions, deletions, replacements and swaps of neighbours between two short words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, &left) in a.iter().enumerate() {
        let mut current = vec![i + 1; b.len() + 1];
        for (j, &right) in b.iter().enumerate() {
            let replaced = previous[j] + usize::from(left != right);
            current[j + 1] = replaced.min(previous[j + 1] + 1).min(current[j] + 1);
            if i > 0 && j > 0 && left == b[j - 1] && a[i - 1] == right {
                current[j + 1] = current[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["substr", "strlen", "upper", "clientid", "flags", "a"];
        assert_eq!(nearest("subst", names), Some("substr"));
        assert_eq!(nearest("STRLEN", names), Some("strlen"));
        assert_eq!(nearest("falgs", names), Some("flags"));
        assert_eq!(nearest("client_id", names), Some("clientid"));
        assert_eq!(nearest("frobnicate", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest("b", names), None);
        assert_eq!(nearest("A", names), Some("a"));
        assert_eq!(nearest("upper", names), None);
    }
}
