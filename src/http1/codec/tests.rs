//! What holds for the codec as a whole, over generated input; and the words that its tests share.

mod generate;
mod hyper;
mod properties;
pub(crate) mod requests;
