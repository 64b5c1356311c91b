"""nginx (NGINX_BIN, or nginx)."""

import signal

from .peer import Peer


class Nginx(Peer):
    name, version_option, reloads = "nginx", "-v", True
    program, variable = "nginx", "NGINX_BIN"

    def config(self):
        s = self.setup
        tls = side = side_upstream = ""
        # nginx refuses a weight of 0; the nearest it can do is to mark the server as down.
        blue, green = (f"weight={w}" if w else "down" for w in s.weights)
        if s.cert:
            tls = (f"listen 127.0.0.1:{s.https} ssl http2 backlog=4096; ssl_certificate {s.cert}; "
                   f"ssl_certificate_key {s.key}; ssl_protocols TLSv1.2 TLSv1.3;")
        if s.side:
            side_upstream = f"upstream side {{ server {s.side[0]} {blue}; server {s.side[1]} {green}; }}"
            side = ("location /side/ { proxy_pass http://side; proxy_http_version 1.1; proxy_buffering off; "
                    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection; }")
        temporary = "\n".join(f"    {kind}_temp_path {s.folder}/{kind};"
                              for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""
daemon off;
pid {s.folder}/nginx.pid;
error_log stderr error;
worker_processes {s.workers};
events {{ worker_connections {2 * s.clients}; }}
http {{
{temporary}
    access_log off;
    server_tokens off;
    keepalive_requests 2000000000;
    keepalive_timeout 75s;
    client_body_buffer_size 64k;
    upstream load {{
        server {s.blue} {blue};
        server {s.green} {green};
        keepalive 256;
        keepalive_requests 2000000000;
    }}
    {side_upstream}
    server {{
        listen 127.0.0.1:{s.http} backlog=4096;
        {tls}
        location / {{
            proxy_pass http://load;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_buffer_size 16k;
            proxy_buffers 8 64k;
            proxy_busy_buffers_size 128k;
            proxy_max_temp_file_size 0;
        }}
        {side}
    }}
}}
"""

    def command(self):
        return [self.binary, "-p", self.setup.folder, "-e", "stderr", "-c", self.write("nginx.conf", self.config())]

    def reweigh(self, weights):
        self.setup.weights = weights
        self.write("nginx.conf", self.config())
        self.process.signal(signal.SIGHUP)
