"""Envoy (ENVOY_BIN, or envoy): weighted clusters; statistics of routes and ids of requests are off."""

import json

from .peer import Peer

TYPE = "type.googleapis.com/envoy.extensions."
# Envoy's own bound of 1 024 connections to a cluster would refuse what others queue.
PLENTY = {"max_connections": 65536, "max_pending_requests": 65536, "max_requests": 65536}


class Envoy(Peer):
    name, version_option, version_line = "envoy", "--version", "version"
    program, variable = "envoy", "ENVOY_BIN"

    def config(self):
        s = self.setup
        groups = {"blue": (s.blue, s.weights[0]), "green": (s.green, s.weights[1])}
        split = [{"name": name, "weight": weight} for name, (_, weight) in groups.items()]
        listeners = [self.listener("http", s.http, split, None)]
        if s.cert:
            listeners.append(self.listener("https", s.https, split, self.tls()))
        clusters = [{
            "name": name, "type": "STATIC", "connect_timeout": "5s", "circuit_breakers": {"thresholds": [PLENTY]},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": socket_address(address)}]}]},
        } for name, (address, _) in groups.items()]
        return json.dumps({"static_resources": {"listeners": listeners, "clusters": clusters}}, indent=1)

    def listener(self, name, port, split, tls):
        router = {"@type": TYPE + "filters.http.router.v3.Router", "suppress_envoy_headers": True, "dynamic_stats": False}
        everything = {"match": {"prefix": "/"}, "route": {"timeout": "0s", "weighted_clusters": {"clusters": split}}}
        manager = {
            "@type": TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": name,
            "codec_type": "AUTO", "use_remote_address": True, "generate_request_id": False,
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [everything]}]},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}]}
        chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        if tls:
            chain["transport_socket"] = tls
        return {"name": name, **socket_address(f"127.0.0.1:{port}"), "filter_chains": [chain]}

    def tls(self):
        certificate = {"certificate_chain": {"filename": str(self.setup.cert)}, "private_key": {"filename": str(self.setup.key)}}
        # For servers Envoy's default ends at TLS 1.2 where this is not said.
        versions = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}
        context = {"alpn_protocols": ["h2", "http/1.1"], "tls_params": versions, "tls_certificates": [certificate]}
        return {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": TYPE + "transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": context}}

    def command(self):
        return [self.binary, "-c", self.write("envoy.json", self.config()), "--concurrency", self.setup.workers,
                "--disable-hot-restart", "-l", "error"]


def socket_address(address):
    host, _, port = address.rpartition(":")
    return {"address": {"socket_address": {"address": host, "port_value": int(port)}}}
