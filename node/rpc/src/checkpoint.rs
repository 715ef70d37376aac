//! `admin_checkpoint`: a copy of the store while the node runs.
//!
//! The copy goes where the node's data lies, into `checkpoints/HEIGHT` beside the
//! data folder, so that no caller chooses a path. Table files are shared by hard
//! links: a copy is quick and takes space only as the originals are rewritten. It
//! opens like any data folder; a node that starts on it goes on from its head.

use jsonrpsee::{
    Extensions,
    server::{RegisterMethodError, RpcModule},
    types::Params,
};
use medina_storage::StorageError;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};

use crate::{
    browser::is_from_web_page,
    context::Context,
    errors::{self, Answer, server, unsupported},
};

const METHOD: &str = "admin_checkpoint";
const FOLDER: &str = "checkpoints";

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    module.register_async_method(
        METHOD,
        |_: Params<'static>, context: Arc<Context>, extensions: Extensions| async move {
            if is_from_web_page(&extensions) {
                return Err(unsupported(format!(
                    "{METHOD} is not for web pages: call it from a terminal on this machine"
                )));
            }
            let copy = tokio::task::spawn_blocking(move || take(&context)).await;
            copy.map_err(errors::fault)?
        },
    )?;
    Ok(())
}

/// Copies the store as it is now and says where to. The copy may be a block ahead
/// of the height that names it.
fn take(context: &Context) -> Answer<Value> {
    let data = context.node.data_dir();
    let data = data.ok_or_else(|| unsupported("this node does not say where its data is"))?;
    let head = context.head();
    let folder = data.parent().map_or_else(PathBuf::new, PathBuf::from);
    let folder = folder.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|error| {
        let folder = folder.display();
        server(format!("cannot make the folder {folder}: {error}"))
    })?;
    let path = folder.join(head.height.to_string());
    match context.store().checkpoint(&path) {
        Ok(()) => Ok(
            json!({ "path": path.display().to_string(), "height": head.height, "hash": head.hash }),
        ),
        Err(error @ StorageError::CheckpointExists { .. }) => Err(server(error.to_string())),
        Err(error) => Err(errors::storage(error)),
    }
}
