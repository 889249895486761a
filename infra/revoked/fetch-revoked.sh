#!/bin/sh
# Fetches what Gatepass has revoked, for the servers of this host:
#
#   fetch-revoked.sh https://join.example.com ssh.krl /etc/ssh/gatepass/revoked.krl
#   fetch-revoked.sh https://join.example.com x509-database.crl /etc/postgresql/revoked.crl ca.pem
#
# The file is replaced whole, and only by a list that was fetched and checked: sshd
# refuses every key while its list is missing or is none, and nginx does not start.
# Whatever goes wrong, the list that is there stays, and the exit status is 1.
# With the authority's certificates (gatepassctl ca export) a CRL's signature is
# checked too. It says so when what is revoked has changed, or a CRL was signed
# again, and else nothing.
set -eu

if [ "$#" -lt 3 ] || [ "$#" -gt 4 ]; then
  echo "usage: fetch-revoked.sh URL LIST FILE [CA.pem]" >&2
  exit 2
fi
url=${1%/} list=$2 file=$3 ca=${4:-}

case $url in
  https://*) protocol='=https' ;;
  http://127.0.0.1:* | http://localhost:*) protocol='=http' ;;
  *)
    echo "fetch-revoked.sh: $url: write it like https://join.example.com" >&2
    exit 2
    ;;
esac

# In the same directory, so that the rename that follows is one step.
new=$(mktemp "$file.new.XXXXXX")
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM

curl --fail --silent --show-error --proto "$protocol" --max-time 30 --max-filesize 16777216 \
  --retry 2 --output "$new" "$url/v1/revoked/$list"

# Writes CRL number $1 of the file, and nothing if it has not so many. openssl reads the first only.
one_crl() { awk -v want="$1" '/^-----BEGIN X509 CRL-----$/ { n++ } n == want' "$new"; }

# Writes what a KRL revokes, without its version and the time at which it was made.
revoked_by() { ssh-keygen -Q -l -f "$1" | grep -v -e '^# KRL version ' -e '^# Generated at '; }

case $list in
  *.krl)
    ssh-keygen -Q -l -f "$new" >/dev/null
    changed=true
    if [ -f "$file" ] && [ "$(revoked_by "$new")" = "$(revoked_by "$file" 2>/dev/null)" ]; then
      changed=false
    fi
    ;;
  *)
    i=1
    while one_crl "$i" | grep -q .; do
      one_crl "$i" | openssl crl -noout
      # Its exit status says nothing of the signature.
      if [ -n "$ca" ] && ! one_crl "$i" | openssl crl -noout -verify -CAfile "$ca" 2>&1 | grep -q '^verify OK$'; then
        echo "fetch-revoked.sh: $list is not signed by an authority of $ca" >&2
        exit 1
      fi
      i=$((i + 1))
    done
    if [ "$i" = 1 ]; then
      echo "fetch-revoked.sh: $list is no CRL in PEM" >&2
      exit 1
    fi
    changed=true
    if cmp -s "$new" "$file"; then
      changed=false
    fi
    ;;
esac

chmod 0644 "$new"
# Or a power cut could leave an empty file: sshd would refuse everybody.
sync "$new" 2>/dev/null || true
mv -f "$new" "$file"
if "$changed"; then
  echo "$file has changed"
fi
