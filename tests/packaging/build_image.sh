#!/bin/sh
# Builds the image where no Docker engine and no registry is to be had, and runs it:  sudo tests/packaging/build_image.sh [FOLDER]
#
# By hand, before a release; needs root, Go, and Debian's buildah and debootstrap. The Dockerfile is built as it is, step by step,
# with Beam's own boot program from its Go module. Stand-ins are the base, a Debian with the same Python, and Google's launcher,
# which does nothing. Ends with the demo in the image, as the user that it runs as; leaves the container "duologsync".
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
here=${1:-$(mktemp -d)}
beam=2.77.0
boot=$here/beam/opt/apache/beam
launcher=$here/flex/opt/google/dataflow/python_template_launcher

run_buildah() {
    buildah --storage-driver vfs --root "$here/store" --runroot "$here/run" "$@"
}

# image_of FOLDER NAME: an image with the folder's content.
image_of() {
    container=$(run_buildah from scratch)
    mounted=$(run_buildah mount "$container")
    cp -a "$1/." "$mounted/"
    run_buildah umount "$container" >/dev/null
    run_buildah commit -q "$container" "$2" >/dev/null
    run_buildah rm "$container" >/dev/null
}

mkdir -p "$boot" "$(dirname "$launcher")"
debootstrap --variant=minbase --include=python3,python3-pip,ca-certificates bookworm "$here/base" >"$here/debootstrap.log"
ln -s python3 "$here/base/usr/bin/python"
rm "$here"/base/usr/lib/python3*/EXTERNALLY-MANAGED
# Whom this machine trusts, for a network that looks into TLS.
cp /etc/ssl/certs/ca-certificates.crt "$here/base/etc/ssl/certs/"
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$here/base/etc/pip.conf"
image_of "$here/base" docker.io/library/python:3.11-slim

GOBIN=$here/bin go install "github.com/apache/beam/sdks/v2/python/container@v$beam"
mv "$here/bin/container" "$boot/boot"
image_of "$here/beam" "docker.io/apache/beam_python3.11_sdk:$beam"

printf '#!/bin/sh\n' >"$launcher"
chmod 755 "$launcher"
image_of "$here/flex" gcr.io/dataflow-templates-base/python311-template-launcher-base:latest

run_buildah bud --isolation chroot --pull=never --network host -f "$root/pipelines/launch_files/docker/Dockerfile" -t duologsync "$root"
run_buildah from --pull=never --name duologsync localhost/duologsync
run_buildah run --isolation chroot --network host duologsync -- /opt/duologsync/entrypoint.sh demo --seconds 6
