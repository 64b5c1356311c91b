//! What comes of calls of gRPC (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).

use crate::telemetry::stats::labels::label_values;

label_values! {
    /// The status of a call of gRPC, by its number.
    GrpcStatus {
        /// It went well.
        Ok = "0",
        /// It was cancelled, usually by the caller.
        Cancelled = "1",
        /// Nobody knows what went wrong.
        Unknown = "2",
        /// What the caller gave cannot be used.
        InvalidArgument = "3",
        /// It took longer than it may.
        DeadlineExceeded = "4",
        /// What was asked for is not there.
        NotFound = "5",
        /// What was to be made is there already.
        AlreadyExists = "6",
        /// The caller may not do that.
        PermissionDenied = "7",
        /// A quota is used up, or a message too large.
        ResourceExhausted = "8",
        /// The system is not in the state that it needs.
        FailedPrecondition = "9",
        /// Another one was in the way.
        Aborted = "10",
        /// It asked for something past the end.
        OutOfRange = "11",
        /// There is no such method here.
        Unimplemented = "12",
        /// Something that must hold does not.
        Internal = "13",
        /// The service is not there now.
        Unavailable = "14",
        /// Data is lost for good.
        DataLoss = "15",
        /// Nobody knows who the caller is.
        Unauthenticated = "16",
        /// There was no status: the response is not one of gRPC, or it was cut by the upstream.
        None = "none",
        /// There was one that gRPC does not know.
        Other = "other",
    }
}

impl GrpcStatus {
    /// Reads a status as it stands in `grpc-status`.
    pub fn read(text: &[u8]) -> Self {
        let known = Self::ALL[..=Self::Unauthenticated as usize].iter();
        known
            .copied()
            .find(|status| status.label().as_bytes() == text)
            .unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::stats::GrpcStatus;

    #[test]
    fn a_status_is_known_by_its_number_and_by_nothing_else() {
        for (text, status) in [
            ("0", GrpcStatus::Ok),
            ("14", GrpcStatus::Unavailable),
            ("16", GrpcStatus::Unauthenticated),
            ("17", GrpcStatus::Other),
            ("007", GrpcStatus::Other),
            ("none", GrpcStatus::Other),
            ("", GrpcStatus::Other),
        ] {
            assert_eq!(GrpcStatus::read(text.as_bytes()), status, "{text}");
        }
        for (n, status) in GrpcStatus::ALL[..17].iter().enumerate() {
            assert_eq!(status.label(), n.to_string());
        }
    }
}
