//! What holds for the codec as a whole, over generated input.

mod generate;
mod hyper;
mod properties;
