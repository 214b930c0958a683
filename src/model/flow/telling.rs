//! Which bytes tell something where they are found again.

/// Fewest bytes that must be alike, and distinct bytes among them: zeros are alike everywhere.
const LEAST: usize = 8;
const DISTINCT: usize = 4;

/// Whether bytes that are alike are so by no accident. Then those that they are a part of are, too.
pub(super) fn tells(bytes: &[u8]) -> bool {
    let (mut seen, mut distinct) = ([0; DISTINCT], 0);
    for byte in bytes {
        let is_new = seen.iter().take(distinct).all(|other| other != byte);
        if let Some(place) = seen.get_mut(distinct).filter(|_| is_new) {
            *place = *byte;
            distinct += 1;
            if distinct == DISTINCT {
                return bytes.len() >= LEAST;
            }
        }
    }
    false
}
