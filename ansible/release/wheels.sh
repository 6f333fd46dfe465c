#!/usr/bin/env bash
# Makes a release of the commit that is checked out, in build/release: VERSION/ with the wheels and a lock file that has the
# hash of each, our own included, and anycast-edge-VERSION.tar with the same.
#
#   RELEASE_PYTHON, RELEASE_MACHINE: what the nodes have; by default Debian 12's Python on a machine like this one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${RELEASE_PYTHON:-3.11}
machine=${RELEASE_MACHINE:-$(uname -m)}
version=$(python -c 'import edge; print(edge.__version__)')
target=build/release/$version

pip=(python -m pip --disable-pip-version-check --no-input --quiet)
platforms=("--platform=manylinux1_$machine" "--platform=manylinux2010_$machine" "--platform=manylinux2014_$machine")
for glibc in 5 12 17 24 26 27 28 31 34; do # what wheels are built for, up to Debian 12's 2.36
    platforms+=("--platform=manylinux_2_${glibc}_$machine")
done

rm -rf "$target" build/release/source
mkdir -p "$target" build/release/source
"${pip[@]}" download --dest "$target" --no-deps --require-hashes --requirement requirements/base.txt \
    --only-binary :all: --python-version "$python" --implementation cp "${platforms[@]}"
# From a copy: a build leaves things beside its sources, and what is not committed is no release.
git archive HEAD | tar --extract --directory build/release/source
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) "${pip[@]}" wheel --no-deps --no-build-isolation \
    --wheel-dir "$target" build/release/source
rm -rf build/release/source
{
    cat requirements/base.txt
    wheel=$(echo "$target"/anycast_edge-"$version"-*.whl)
    echo "anycast-edge==$version --hash=sha256:$(sha256sum "$wheel" | cut -d' ' -f1)"
} >"$target/requirements.txt"
tar --create --sort=name --owner=0 --group=0 --mtime="@$(git log -1 --format=%ct)" \
    --file "build/release/anycast-edge-$version.tar" --directory "$target" .
echo "build/release/anycast-edge-$version.tar"
