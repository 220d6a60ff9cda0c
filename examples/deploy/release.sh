# What runs on each web server: release.sh VERSION
set -eu
version=$1
releases=${RELEASES:-$HOME/releases}

mkdir -p "$releases/$version"
echo "$version" > "$releases/$version/VERSION"   # here you would unpack your build
# A link that is replaced in one step: no request sees half a release.
ln -sfn "$version" "$releases/next.$$"
mv -fT "$releases/next.$$" "$releases/current"
echo "$version is live"
