# Lists the wheels of some packages, and fetches of each wheel its RECORD, with pip's own client: its configuration says
# where the packages are, and its HTTP ranges fetch the end of a wheel alone.
# Arguments: the folder, then the packages. Writes listing.tsv when all is there.
import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

from pip._internal.commands.download import DownloadCommand
from pip._internal.index.collector import LinkCollector, parse_links
from pip._internal.models.link import Link
from pip._internal.network.lazy_wheel import LazyZipOverHTTP

folder, packages = sys.argv[1], sys.argv[2:]
command = DownloadCommand("download", "wheels of vendors")
options, _ = command.parse_args(["--disable-pip-version-check", "none"])


def links(collector, package):
    for address in collector.search_scope.get_index_urls_locations(package):
        content = collector.fetch_response(Link(address))
        for link in parse_links(content) if content else []:
            if link.filename.endswith(".whl") and link.hash_name == "sha256":
                yield link


def fetch(link):
    path = os.path.join(folder, link.filename + ".csv")
    if os.path.exists(path):
        return
    with command.get_default_session(options) as session, LazyZipOverHTTP(link.url_without_fragment, session) as file:
        wheel = zipfile.ZipFile(file)
        names = [name for name in wheel.namelist() if name.endswith(".dist-info/RECORD")]
        record = wheel.read(names[0]) if names else b""
    with open(path + ".new", "wb") as out:
        out.write(record)
    os.rename(path + ".new", path)


with command.main_context():
    collector = LinkCollector.create(command.get_default_session(options), options)
    wheels = [(package, link) for package in packages for link in links(collector, package)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda wheel: fetch(wheel[1]), wheels))
lines = sorted({f"{package}\t{link.filename}\t{link.hash}\n" for package, link in wheels})
with open(os.path.join(folder, "listing.tsv.new"), "w") as out:
    out.writelines(lines)
os.rename(os.path.join(folder, "listing.tsv.new"), os.path.join(folder, "listing.tsv"))
