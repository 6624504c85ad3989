//! Cutting an input into the pieces in which it arrives.

/// The ends of pieces of `size` bytes, the last one that of the input; one piece if `size` is 0.
pub(crate) fn ends(length: usize, size: u8) -> impl Iterator<Item = usize> {
    let size = if size == 0 { length.max(1) } else { usize::from(size) };
    (1..=length.div_ceil(size)).map(move |number| (number * size).min(length))
}
