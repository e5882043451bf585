//! `dunlin id`: making, showing and replacing the key of this node.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use dunlin_overlay::sign_record;
use dunlin_session::Identity;
use dunlin_session::keyfile::{Passphrase, Sealing, create, is_sealed, load, rotate};
use dunlin_session::provider;
use dunlin_transport::driver::OsRandom;

use crate::cli::id::{DnsRecordArgs, IdAction, IdArgs, KeyFileArgs, MakeArgs};
use crate::clock::unix_millis;
use crate::commands::{note, print_line};
use crate::data_dir::DataDir;
use crate::discovery::dns_record_line;
use crate::failure::{Exit, Failure};
use crate::stack::{load_identity, read_passphrase};

/// Does what is asked; without an action prints the ID, making the key at first use.
pub(super) fn run(args: &IdArgs) -> Result<(), Failure> {
    match &args.action {
        None => print_line(&load_identity(&args.file)?.0.node_id().to_string()),
        Some(IdAction::New(args)) => new(args),
        Some(IdAction::Show(file)) => show(file),
        Some(IdAction::Rotate(args)) => replace(args),
        Some(IdAction::Export(file)) => export(file),
        Some(IdAction::DnsRecord(args)) => dns_record(args),
    }
}

fn new(args: &MakeArgs) -> Result<(), Failure> {
    let store = Store::open(&args.file)?;
    let identity = make(args.hybrid);
    store.with_sealing(|sealing| create(&store.path, &identity, sealing))?;
    print_line(&identity.node_id().to_string())
}

fn show(file: &KeyFileArgs) -> Result<(), Failure> {
    let store = Store::open(file)?;
    let identity = store.load()?;
    print_line(&identity.node_id().to_string())?;
    let kind = if identity.public().is_hybrid() {
        "Ed25519 and ML-DSA-65"
    } else {
        "Ed25519"
    };
    let sealed = if is_sealed(&store.path).map_err(|error| local(&error))? {
        "sealed with a passphrase"
    } else {
        "not sealed"
    };
    note(&format!("{kind}, {sealed}, in {}", store.path.display()));
    Ok(())
}

fn replace(args: &MakeArgs) -> Result<(), Failure> {
    let store = Store::open(&args.file)?;
    let old = store.load()?;
    let identity = make(args.hybrid || old.public().is_hybrid());
    let kept = store.with_sealing(|sealing| rotate(&store.path, &identity, sealing))?;
    print_line(&identity.node_id().to_string())?;
    note(&format!(
        "this node was {} and has another ID now: who expects the old one refuses it, so give the new one to your peers; the old key is kept in {}",
        old.node_id(),
        kept.display()
    ));
    Ok(())
}

fn export(file: &KeyFileArgs) -> Result<(), Failure> {
    let identity = Store::open(file)?.load()?;
    let public = identity.public();
    print_line(&format!("node-id {}", identity.node_id()))?;
    print_line(&format!("ed25519 {}", hex(&public.ed25519)))?;
    print_line(&format!(
        "ml-dsa-65-commitment {}",
        if public.is_hybrid() {
            hex(&public.mldsa_commitment)
        } else {
            "none".to_owned()
        }
    ))
}

fn dns_record(args: &DnsRecordArgs) -> Result<(), Failure> {
    let unusable = |address: &&SocketAddr| address.ip().is_unspecified() || address.port() == 0;
    if let Some(address) = args.addresses.iter().find(unusable) {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "nobody can reach {address}; write an address and port that others reach, for example 203.0.113.7:4600"
            ),
        ));
    }
    let identity = Store::open(&args.file)?.load()?;
    let record = sign_record(&identity, &args.network, &args.addresses, unix_millis());
    print_line(&dns_record_line(&record))?;
    note("publish this line under the name of your DNS seed, and make another one within 30 days");
    Ok(())
}

fn make(hybrid: bool) -> Identity {
    if hybrid {
        Identity::generate_hybrid(&mut OsRandom, &*provider::aws_lc())
    } else {
        Identity::generate(&mut OsRandom)
    }
}

/// The key file, and what it opens with.
struct Store {
    path: PathBuf,
    passphrase: Option<Passphrase>,
}

impl Store {
    fn open(file: &KeyFileArgs) -> Result<Self, Failure> {
        Ok(Self {
            path: DataDir::open(file.data_dir.as_deref())?.identity_file(),
            passphrase: read_passphrase(file)?,
        })
    }

    fn load(&self) -> Result<Identity, Failure> {
        load(&self.path, self.passphrase.as_ref(), &*provider::aws_lc())
            .map_err(|error| local(&error))
    }

    fn with_sealing<T>(
        &self,
        write: impl FnOnce(&mut Sealing<'_>) -> Result<T, dunlin_session::keyfile::KeyFileError>,
    ) -> Result<T, Failure> {
        write(&mut Sealing {
            passphrase: self.passphrase.as_ref(),
            random: &mut OsRandom,
            provider: &*provider::aws_lc(),
        })
        .map_err(|error| local(&error))
    }
}

fn local(error: &dunlin_session::keyfile::KeyFileError) -> Failure {
    Failure::new(Exit::Local, error.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
