//! The one place that draws random bytes: the operating system's source, by way of the crypto library.

use portcullis_core::refusal::Unavailable;

/// Random bytes.
///
/// # Errors
/// [`Unavailable::Entropy`]; nobody goes on with weaker ones.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Unavailable> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Unavailable::Entropy)?;
    Ok(bytes)
}
