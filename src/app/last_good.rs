//! A start with a file that is refused: with the last good configuration, if that is wanted.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tracing::{error, warn};

use crate::app::StartError;
use crate::config::{LastGood, Loaded, Problems, store_folder};
use crate::control::{StandsIn, last_good};
use crate::store::instant;

/// Whether a start may obey the last good configuration instead of the file, and where that is kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum StandIn {
    /// It may not.
    #[default]
    Never,
    /// It may; it is kept in the folder of the store that the file names, as far as that can be read.
    FromStore,
    /// It may; it is kept in this folder.
    From(PathBuf),
}

/// Finds what to obey instead of a file that is refused.
///
/// # Errors
/// When that is not wanted, when there is none, and when it cannot be used either.
pub(in crate::app) fn instead_of(
    path: &Path,
    problems: Problems,
    stand_in: &StandIn,
) -> Result<(Loaded, StandsIn), StartError> {
    let folder = match stand_in {
        StandIn::Never | StandIn::FromStore => store_folder(path),
        StandIn::From(folder) => folder.clone(),
    };
    let kept = last_good(&folder);
    if *stand_in == StandIn::Never {
        return Err(match kept {
            Ok(kept) => StartError::Refusable {
                hint: hint(&kept, &folder),
                problems,
            },
            Err(_) => StartError::Config(problems),
        });
    }
    let kept = match kept {
        Ok(kept) => kept,
        Err(error) => {
            let why = match error.kind() {
                ErrorKind::NotFound => "there is none".to_owned(),
                _ => error.to_string(),
            };
            let hint = format!(
                "no last good configuration in {}: {why}; --last-good=DIR names the folder of the \
                 store",
                folder.display()
            );
            return Err(StartError::Refusable { problems, hint });
        }
    };
    let at = instant::text(kept.at);
    match kept.load(path) {
        Ok(mut loaded) => {
            for problem in problems.iter() {
                error!(%problem, "configuration refused");
            }
            let folder = folder.display();
            warn!(%folder, of = at, "the last good configuration is obeyed instead of the file");
            loaded.watch_also(problems.sources());
            let stands_in = StandsIn {
                kept_at: kept.at,
                problems: problems.into_vec(),
            };
            Ok((loaded, stands_in))
        }
        Err(others) => {
            let hint =
                format!("nor can the last good configuration be used, that of {at}:\n{others}");
            Err(StartError::Refusable { problems, hint })
        }
    }
}

fn hint(kept: &LastGood, folder: &Path) -> String {
    format!(
        "the last good configuration, that of {}, is kept in {}: with --last-good it is obeyed \
         until the file is mended",
        instant::text(kept.at),
        folder.display()
    )
}
