"""Configurations of tidegate in other shapes than the comparison's, and requests that fit them.

A shape is the text of routes and upstreams, put after what every configuration begins with. Its
requests are lines for the generator: host, path and fields, with tabs between them.
"""

import hashlib

from .peers.tidegate import Tidegate

PATHS_ON_HOST = 10
STABLE, CANARY = 95, 5


class Shaped(Tidegate):
    """tidegate with routes of our own; `scale` multiplies all weights and so changes no share."""

    def __init__(self, binary, setup, on, shape, access_log="off"):
        super().__init__(binary, setup, on)
        self.shape, self.access_log, self.scale = shape, access_log, 1

    def config(self):
        return self.preamble(self.access_log) + self.shape(self.setup, self.scale)

    def rescale(self):
        """A new file with other weights and the same shares, by rename alone."""
        self.scale = 3 - self.scale
        self.write("tidegate.toml", self.config())


def split(scale=1, blue="blue", green="green"):
    """In the table of a route, and short: a file may have 16 MiB, and shall have room for 100 000 routes."""
    return (f'split.stable={{upstream="{blue}",weight={STABLE * scale}}}\n'
            f'split.canary={{upstream="{green}",weight={CANARY * scale}}}\n')


def plain(_setup, scale=1, more=""):
    """One route for everything; `more` are tables of the route `load`."""
    return f'[route.load]\nmatch = {{ path = "/" }}\n{split(scale)}{more}'


def place(number):
    """Host and path of one route among many: ten paths on each host."""
    return f"h{number // PATHS_ON_HOST}.example.com", f"/p{number % PATHS_ON_HOST}"


def many_routes(count, scale=1, more="", upstreams=None):
    """That many routes, all with the same split; `more` are tables of each, with {name} for its name."""
    parts = []
    for number in range(count):
        host, path = place(number)
        name = f"r{number}"
        blue, green = upstreams(number) if upstreams else ("blue", "green")
        parts.append(f'[route.{name}]\nmatch={{hosts=["{host}"],path="{path}"}}\n'
                     f"{split(scale, blue, green)}{more.replace('{name}', name)}")
    return "".join(parts)


def upstreams(setup, count):
    """That many upstreams, in pairs: each pair is the comparison's two groups again."""
    return "".join(f'[upstream.u{number}]\nendpoints = ["{setup.blue if number % 2 == 0 else setup.green}"]\n'
                   for number in range(count))


def pair_of(number, count):
    """The two upstreams that a route uses, of so many: all are used when there are enough routes."""
    first = 2 * (number % (count // 2))
    return f"u{first}", f"u{first + 1}"


def variants(setup, count):
    """One route whose split has that many variants of one weight each, half of them canaries."""
    parts = ['[route.load]\nmatch = { path = "/" }\n[route.load.split]\n']
    for number in range(count):
        parts.append(f'v{number} = {{ upstream = "{("blue", "green")[number % 2]}", weight = 1 }}\n')
    return "".join(parts)


def requests(count, routes=None, fields=lambda number: (), size=200):
    """Lines for so many requests, spread evenly over the routes; without routes all ask for one path."""
    lines = []
    for number in range(count):
        host, path = place(number * routes // count if count < routes else number % routes) if routes else ("", "")
        lines.append("\t".join([host, f"{path}/{size}", *fields(number)]))
    return lines


def identity(number):
    """What tidegate takes for the identity of a client that has its cookie: 32 hexadecimal digits."""
    return hashlib.md5(f"user {number}".encode()).hexdigest()
