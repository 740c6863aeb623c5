//! TLS to a PostgreSQL server by libpq's rules: how much the server's certificate has to prove.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::unusable::ServerError;

/// What the URL says of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) trust: Trust,
    /// Certificates of authorities (PEM); the system's without it.
    pub(super) authority: Option<PathBuf>,
    /// Our own certificate and its key (PEM).
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// Who may be at the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Trust {
    /// Anyone: what is said is encrypted, and that is all.
    #[default]
    Anyone,
    /// Whoever has a certificate of the authority.
    Authority,
    /// Only who has one for the host's name.
    AuthorityAndName,
}

impl Tls {
    /// What connects with this.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, ServerError> {
        let tls = |error: Error| ServerError::Tls(error.to_string());
        let provider = Arc::new(ring::default_provider());
        let authority = match self.trust {
            Trust::Anyone => None,
            Trust::Authority | Trust::AuthorityAndName => {
                let roots = Arc::new(self.roots()?);
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
                Some(verifier.build().map_err(|error| ServerError::Tls(error.to_string()))?)
            }
        };
        let verifier = Verifier { trust: self.trust, authority, provider: Arc::clone(&provider) };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(tls)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &self.identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(|why| unusable(key, &why))?;
                config.with_client_auth_cert(chain, key).map_err(tls)?
            }
        };
        Ok(MakeRustlsConnect::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, ServerError> {
        let mut roots = RootCertStore::empty();
        let certificates = match &self.authority {
            // libpq's word for them.
            Some(path) if path.as_os_str() != "system" => certificates(path)?,
            _ => rustls_native_certs::load_native_certs().certs,
        };
        roots.add_parsable_certificates(certificates);
        Ok(roots)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServerError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = read.map_err(|why| unusable(path, &why))?;
    if found.is_empty() {
        let why = "there is no certificate in it".to_owned();
        return Err(ServerError::File { path: path.to_owned(), why });
    }
    Ok(found)
}

fn unusable(path: &Path, why: &rustls::pki_types::pem::Error) -> ServerError {
    ServerError::File { path: path.to_owned(), why: why.to_string() }
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = &self.authority else { return Ok(ServerCertVerified::assertion()) };
        let verified = authority.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // The name is looked at last, when all else is proven.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.trust == Trust::Authority => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
