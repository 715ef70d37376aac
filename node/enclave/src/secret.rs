//! 32 secret bytes: zeroised when dropped, compared in constant time, shown to nobody.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A key or shared secret. It has no `Debug`, no `Display`, no `PartialEq`, no encoding.
#[derive(Clone)]
pub(crate) struct Secret(Box<[u8; 32]>);

impl Secret {
    /// Takes the bytes over; the caller's copy is on its stack.
    pub(crate) fn new(mut bytes: [u8; 32]) -> Self {
        let secret = Self(Box::new(bytes));
        bytes.zeroize();
        secret
    }

    pub(crate) fn zero() -> Self {
        Self::new([0; 32])
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Secret {}

/// A new secret from the system's generator.
pub(crate) fn random() -> Result<Secret, String> {
    let mut secret = Secret::zero();
    fill(secret.expose_mut())?;
    Ok(secret)
}

/// Random bytes that are no secret: nonces.
pub(crate) fn nonce() -> Result<[u8; 24], String> {
    let mut nonce = [0; 24];
    fill(&mut nonce)?;
    Ok(nonce)
}

fn fill(bytes: &mut [u8]) -> Result<(), String> {
    getrandom::fill(bytes).map_err(|error| format!("the system gives no random bytes: {error}"))
}
