//! Which files are of one recording.

use crate::schema::manifest::Manifest;

/// Files of one recording, in its order. `T` is what stands for a file.
#[derive(Debug)]
pub struct Recording<T> {
    capture_id: String,
    /// Each with its number in the recording, if it has one.
    files: Vec<(Option<u64>, T)>,
}

impl<T> Recording<T> {
    /// A file that is read alone.
    pub fn of_one(file: T) -> Self {
        Recording { capture_id: String::new(), files: vec![(None, file)] }
    }

    /// The files, in the order of the recording.
    pub fn files(&self) -> impl Iterator<Item = &T> {
        self.files.iter().map(|(_, file)| file)
    }
}

/// Adds a file to the files of its recording. One that is given twice is a recording of its own: nothing counts twice. So is a derived
/// capture, which may hold the same rows as others.
pub fn add<T>(recordings: &mut Vec<Recording<T>>, file: T, manifest: &Manifest) {
    let recorded = manifest.segment.as_ref().filter(|_| manifest.derived_from.is_empty());
    let index = recorded.map(|segment| segment.index);
    let takes = |recording: &&mut Recording<T>| {
        index.is_some()
            && recording.capture_id == manifest.capture_id
            && recording.files.iter().all(|(other, _)| other.is_some() && *other != index)
    };
    match recordings.iter_mut().find(takes) {
        Some(recording) => {
            let at = recording.files.partition_point(|(other, _)| *other < index);
            recording.files.insert(at, (index, file));
        }
        None => {
            let capture_id = manifest.capture_id.clone();
            recordings.push(Recording { capture_id, files: vec![(index, file)] });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::manifest::Segment;

    #[test]
    fn files_of_one_recording_belong_together_and_none_twice() {
        let mut recordings = Vec::new();
        let given = [("a", Some(2)), ("b", None), ("a", Some(1)), ("a", Some(2)), ("b", None), ("b", Some(1))];
        for (id, index) in given {
            let segment = index.map(|index| Segment { index, ..Segment::default() });
            let manifest = Manifest { capture_id: id.into(), segment, ..Manifest::default() };
            add(&mut recordings, (id, index), &manifest);
        }
        let files: Vec<Vec<_>> = recordings.iter().map(|of| of.files().copied().collect()).collect();
        let wanted = [
            vec![("a", Some(1)), ("a", Some(2))],
            vec![("b", None)],
            vec![("a", Some(2))],
            vec![("b", None)],
            vec![("b", Some(1))],
        ];
        assert_eq!(files, wanted);
    }
}
