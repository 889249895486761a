#!/usr/bin/env bats
# The orb's scripts, in the order in which CircleCI would run them: each a bash of its own
# with BASH_ENV read first, and the orb's parameters in variables. TestOrb starts the service,
# the host and the releases around it.
# shellcheck disable=SC2016 # what must not be expanded is in single quotes

bats_require_minimum_version 1.5.0

# What would be noticed if any shell read it. The second one has a newline, too.
hostile=$' it\'s "quoted" $(touch pwned) `touch pwned` ; touch pwned & | * ? \\ { } #'
newline=$'\n'

setup() {
  job=$(mktemp -d "$BATS_TEST_TMPDIR/job.XXXXXX")
  mkdir "$job/home" "$job/project" "$job/bin"
  : >"$job/bash_env"
  cd "$job/project" || return
}

teardown() {
  if [ -e "$job/project/pwned" ]; then
    echo 'a parameter was executed'
    false
  fi
}

# step runs a script as a run step of CircleCI with these variables.
step() { # script NAME=value…
  local script=$1
  shift
  env -i PATH="$job/bin:$WORLD_PATH" HOME="$job/home" BASH_ENV="$job/bash_env" CI=true CIRCLECI=true \
    TEST_MINT_URL="$TEST_MINT_URL" CIRCLE_OIDC_TOKEN_V2="$CIRCLE_OIDC_TOKEN_V2" LC_ALL=C.UTF-8 \
    "$@" /bin/bash -eo pipefail "$script"
}

install_step() { # NAME=value…
  step "$SCRIPTS/install.sh" ORB_VERSION="$VERSION" ORB_CHECKSUM='' ORB_BASE_URL="$RELEASES/good" \
    ORB_INSTALL_DIR='$HOME/.local/bin' ORB_CHECKSUMS="$(sums)" ORB_RELEASE_KEY='# none yet' "$@"
}

sums() { # as the orb has them: of more than this platform
  printf '# SHA-256 and name\n%064d  gatepass_%s_plan9_mips\n' 7 "$VERSION"
  (cd "$DIST" && sha256sum "$CLIENT")
}

join_step() { # NAME=value…
  step "$SCRIPTS/join.sh" ORB_SERVER="$SERVER" ORB_TOKEN=shop-deploy ORB_AUDIENCE="$AUDIENCE" ORB_OUTPUT=identity \
    ORB_DESTINATION=.gatepass ORB_TTL='' ORB_FLAGS='' "$@"
}

exec_step() { # NAME=value…
  step "$SCRIPTS/exec.sh" ORB_SERVER="$SERVER" ORB_TOKEN=shop-deploy ORB_AUDIENCE="$AUDIENCE" ORB_TTL='' ORB_FLAGS='' "$@"
}

ssh_step() { # NAME=value…
  step "$SCRIPTS/ssh.sh" ORB_SERVER="$SERVER" ORB_TOKEN=shop-deploy ORB_AUDIENCE="$AUDIENCE" ORB_TTL='' ORB_FLAGS='' ORB_LOGIN='' \
    ORB_HOSTS="deploy@$HOST:$PORT" "$@"
}

copy_step() { # NAME=value…
  step "$SCRIPTS/copy.sh" ORB_SERVER="$SERVER" ORB_TOKEN=shop-deploy ORB_AUDIENCE="$AUDIENCE" ORB_TTL='' ORB_FLAGS='' ORB_LOGIN='' \
    ORB_HOSTS="deploy@$HOST:$PORT" "$@"
}

logout_step() { # NAME=value…
  step "$SCRIPTS/logout.sh" ORB_DESTINATION=.gatepass "$@"
}

# user_step is a step that the user wrote.
user_step() { # command
  printf '%s\n' "$1" >"$job/user.sh"
  step "$job/user.sh"
}

says() { # words…
  local word
  for word in "$@"; do
    if [[ $output != *"$word"* ]]; then
      printf 'it does not say %q, but:\n%s\n' "$word" "$output"
      return 1
    fi
  done
}

# A client that writes down what it was called with, and how its directory would look.
recorder() {
  cat >"$job/bin/gatepass" <<'EOF'
#!/bin/bash
printf '%s\0' "$@" >>"${HOME%/home}/called"
while [ $# -gt 0 ]; do
  case $1 in --destination=*) mkdir -p -- "${1#*=}" ;; esac
  shift
done
EOF
  chmod +x "$job/bin/gatepass"
}

called_with() { # arguments…
  printf '%s\0' "$@" >"$job/wanted"
  if ! cmp "$job/wanted" "$job/called"; then
    tr '\0' '\n' <"$job/called"
    return 1
  fi
}

# ---- install

@test "install: verified, in PATH of the later steps, once" {
  run -0 install_step
  says "installed $CLIENT in $job/home/.local/bin"
  run -0 user_step 'command -v gatepass; gatepass version; stat -c %a "$(command -v gatepass)"'
  says "$job/home/.local/bin/gatepass" "$VERSION" 755
  run -0 install_step
  says "$CLIENT is installed already"
}

@test "install: from the cache when there is no way out" {
  run -0 install_step
  rm "$job/home/.local/bin/gatepass"
  run -0 install_step ORB_BASE_URL=http://127.0.0.1:1/none
  says "installed $CLIENT"
}

@test "install: through a redirect, as GitHub has them" {
  run -0 install_step ORB_BASE_URL="$RELEASES/moved"
}

@test "install: a tampered download is removed before it runs" {
  run -1 install_step ORB_BASE_URL="$RELEASES/tampered"
  says 'it was removed and has not been run'
  [ ! -e "$job/home/it-ran" ]
  [ -z "$(find "$job/home" -type f)" ]
}

@test "install: half a download is removed" {
  run -1 install_step ORB_BASE_URL="$RELEASES/short"
  says 'it was removed and has not been run'
  [ -z "$(find "$job/home" -type f)" ]
}

@test "install: a poisoned cache is replaced, never run" {
  mkdir -p "$job/home/.cache/gatepass-orb"
  printf '#!/bin/sh\ntouch "$HOME/it-ran"\n' >"$job/home/.cache/gatepass-orb/$CLIENT"
  chmod +x "$job/home/.cache/gatepass-orb/$CLIENT"
  run -0 install_step
  [ ! -e "$job/home/it-ran" ]
  cmp "$DIST/$CLIENT" "$job/home/.cache/gatepass-orb/$CLIENT"
}

@test "install: a client in the way that is another is replaced, never run" {
  mkdir -p "$job/home/.local/bin"
  printf '#!/bin/sh\ntouch "$HOME/it-ran"\n' >"$job/home/.local/bin/gatepass"
  chmod +x "$job/home/.local/bin/gatepass"
  run -0 install_step
  [ ! -e "$job/home/it-ran" ]
}

@test "install: no checksum, no client" {
  run -1 install_step ORB_CHECKSUMS='# none yet'
  says "no checksum of $CLIENT" 'set the parameter checksum'
  run -1 install_step ORB_VERSION=8.8.8
  says 'no checksum of gatepass_8.8.8_' 'set the parameter checksum'
  [ -z "$(find "$job/home" -type f)" ]
}

# signed_release serves the client as another version, with a signed list, and sets $key.
signed_release() {
  release=$FILES/$BATS_TEST_NUMBER/v7.7.7
  other=${CLIENT/$VERSION/7.7.7}
  mkdir -p "$release"
  cp "$DIST/$CLIENT" "$release/$other"
  (cd "$release" && sha256sum "$other" >SHA256SUMS)
  openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$job/private"
  key=$(openssl pkey -in "$job/private" -pubout)
  sign_sums
}

sign_sums() {
  openssl dgst -sha256 -sign "$job/private" "$release/SHA256SUMS" | openssl base64 -A >"$release/SHA256SUMS.sig"
}

signed_step() { # NAME=value…
  install_step ORB_VERSION=7.7.7 ORB_BASE_URL="$RELEASES/files/$BATS_TEST_NUMBER" ORB_RELEASE_KEY="$key" "$@"
}

@test "install: another version by its signed list" {
  signed_release
  run -0 signed_step
  says "installed $other"
}

@test "install: a list that is not signed by the key of the orb installs nothing" {
  signed_release
  good=$(<"$release/SHA256SUMS.sig")
  for bad in '' '%%%' "${good:0:40}" "$(openssl rand -base64 72 | tr -d '\n')"; do
    printf %s "$bad" >"$release/SHA256SUMS.sig"
    run -1 signed_step
    says 'is not signed by the key that this orb has'
  done
  sign_sums
  echo >>"$release/SHA256SUMS"
  run -1 signed_step
  says 'is not signed by the key that this orb has'
  key=${key/MFkw/MFkx}
  run -1 signed_step
  says 'is not signed by the key that this orb has'
  [ -z "$(find "$job/home" -type f)" ]
}

@test "install: a signed list that lacks the client, or has it twice, installs nothing" {
  signed_release
  cp "$release/SHA256SUMS" "$job/sums"
  sed "s/7\\.7\\.7/7.7.6/" "$job/sums" >"$release/SHA256SUMS"
  sign_sums
  run -1 signed_step
  says "no checksum of $other"
  cat "$job/sums" "$job/sums" >"$release/SHA256SUMS"
  sign_sums
  run -1 signed_step
  says 'not a SHA-256'
  cp "$job/sums" "$release/SHA256SUMS"
  sign_sums
  echo >>"$release/$other"
  run -1 signed_step
  says 'it was removed and has not been run'
  [ -z "$(find "$job/home" -type f)" ]
}

@test "install: without a key or a list, another version wants its checksum" {
  signed_release
  run -1 signed_step ORB_RELEASE_KEY='# none yet'
  says "no checksum of $other" 'set the parameter checksum'
  rm "$release/SHA256SUMS.sig"
  run -1 signed_step
  says 'cannot be downloaded'
}

@test "install: the parameter checksum wins, and is held to" {
  run -0 install_step ORB_CHECKSUMS='' ORB_CHECKSUM="$(sha256sum <"$DIST/$CLIENT" | cut -d ' ' -f 1)"
  rm -r "$job/home/.local" "$job/home/.cache"
  run -1 install_step ORB_CHECKSUM="$(printf '%064d' 1)"
  says 'it was removed and has not been run'
}

@test "install: what is no checksum is refused" {
  for bad in 1234 "$(printf '%064d' 1)0" "$(printf '%063dg' 1)" "$hostile" "$(printf '%064d' 1)$newline"; do
    run -1 install_step ORB_CHECKSUM="$bad"
    says 'the parameter checksum is not a SHA-256'
  done
}

@test "install: two checksums of one name are none" {
  run -1 install_step ORB_CHECKSUMS="$(sums; sums)"
  says 'not a SHA-256'
}

@test "install: what is no version is refused" {
  for bad in '' ../9.9.9 "$hostile" "9.9.9$newline" '9.9.9/../../x'; do
    run -1 install_step ORB_VERSION="$bad"
    says 'the parameter version is not a version'
  done
}

@test "install: plain http only on this machine" {
  run -1 install_step ORB_BASE_URL=http://downloads.example.invalid
  says 'cannot be downloaded from http://downloads.example.invalid/' rotocol
  for address in localhost 127.0.0.1; do
    run -1 install_step ORB_BASE_URL="http://$address:x@downloads.example.invalid"
    says 'cannot be downloaded' rotocol
  done
  run -1 install_step ORB_BASE_URL=file:///tmp
  says 'cannot be downloaded' rotocol
}

@test "install: a base_url is one address, whatever a shell or curl would make of it" {
  run -1 install_step ORB_BASE_URL="$RELEASES/{good,tampered}"
  says 'cannot be downloaded'
}

@test "install: a base_url or directory with anything in it is text" {
  run -1 install_step ORB_BASE_URL="$RELEASES/$hostile"
  says 'cannot be downloaded'
  run -1 install_step ORB_INSTALL_DIR="bin$hostile"
  says 'the parameter install_dir is not an absolute path'
  run -0 install_step ORB_INSTALL_DIR="\$HOME/bin$hostile$newline"
  [ -x "$job/home/bin$hostile$newline/gatepass" ]
  run -0 user_step 'command -v gatepass'
  says "$job/home/bin$hostile$newline/gatepass"
}

@test "install: the platform is chosen, and others are refused" {
  printf '#!/bin/sh\ncase $1 in -s) echo "$FAKE_SYSTEM" ;; *) echo "$FAKE_MACHINE" ;; esac\n' >"$job/bin/uname"
  chmod +x "$job/bin/uname"
  while read -r system machine name; do
    run -1 install_step FAKE_SYSTEM="$system" FAKE_MACHINE="$machine" ORB_CHECKSUMS=''
    says "$name"
  done <<END
Darwin arm64 gatepass_${VERSION}_darwin_arm64
Darwin x86_64 gatepass_${VERSION}_darwin_amd64
Linux aarch64 gatepass_${VERSION}_linux_arm64
Linux x86_64 gatepass_${VERSION}_linux_amd64
Linux i686 there is no client for i686
MINGW64_NT x86_64 there is no client for MINGW64_NT
END
}

@test "install: sudo where the directory needs it, and only there" {
  printf '#!/bin/sh\necho "sudo $*" >>"$HOME/sudo.log"\nchmod u+w "$HOME/root"\nexec "$@"\n' >"$job/bin/sudo"
  chmod +x "$job/bin/sudo"
  run -0 install_step
  [ ! -e "$job/home/sudo.log" ]
  mkdir "$job/home/root"
  chmod 555 "$job/home/root"
  plain=()
  if [ "$(id -u)" = 0 ]; then # who may write anywhere
    chown -R 65534:65534 "$job"
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/* "$BATS_TEST_TMPDIR" "$job"
    plain=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  fi
  cp "$SCRIPTS/install.sh" "$job/install.sh"
  chmod 755 "$job/install.sh"
  run -0 "${plain[@]}" env -i PATH="$job/bin:/usr/local/bin:/usr/bin:/bin" HOME="$job/home" BASH_ENV="$job/bash_env" ORB_VERSION="$VERSION" ORB_CHECKSUM='' \
    ORB_BASE_URL="$RELEASES/good" ORB_INSTALL_DIR="$job/home/root" ORB_RELEASE_KEY='' ORB_CHECKSUMS="$(sums)" /bin/bash -eo pipefail "$job/install.sh"
  grep -q '^sudo cp ' "$job/home/sudo.log"
  [ -x "$job/home/root/gatepass" ]
  # Folders that root makes can be entered by the user.
  chmod 555 "$job/home/root"
  run -0 "${plain[@]}" env -i PATH="$job/bin:/usr/local/bin:/usr/bin:/bin" HOME="$job/home" BASH_ENV="$job/bash_env" ORB_VERSION="$VERSION" ORB_CHECKSUM='' \
    ORB_BASE_URL="$RELEASES/good" ORB_INSTALL_DIR="$job/home/root/a/bin" ORB_RELEASE_KEY='' ORB_CHECKSUMS="$(sums)" /bin/bash -eo pipefail "$job/install.sh"
  grep -q '^sudo mkdir ' "$job/home/sudo.log"
  [ "$(stat -c %a "$job/home/root/a" "$job/home/root/a/bin" | tr '\n' ' ')" = '755 755 ' ]
}

@test "install and join: nothing happens without a BASH_ENV" {
  recorder
  for script in install join; do
    run -1 "${script}_step" BASH_ENV=
    says 'BASH_ENV names no file'
    run -1 "${script}_step" BASH_ENV="$job/none/bash_env"
    says 'BASH_ENV names no file'
  done
  [ ! -e "$job/called" ]
  [ -z "$(find "$job/home" -type f)" ]
}

@test "install and join: a line of BASH_ENV without an end stays what it is" {
  printf 'export MINE=mine' >>"$job/bash_env"
  run -0 install_step
  printf 'export YOURS=yours' >>"$job/bash_env"
  run -0 join_step
  run -0 user_step 'echo "$MINE $YOURS"; command -v gatepass; ls "$GATEPASS_IDENTITY_DIR"'
  says 'mine yours' "$job/home/.local/bin/gatepass" key-cert.pub
}

@test "install: by shasum, as on macOS; without either nothing is downloaded" {
  mkdir "$job/few"
  for tool in bash chmod cp curl cut mkdir mv rm uname; do
    ln -s "$(command -v "$tool")" "$job/few/"
  done
  ln -s "$(PATH=$WORLD_PATH command -v circleci)" "$job/few/"
  run -1 install_step PATH="$job/few"
  says 'neither sha256sum nor shasum is here'
  [ -z "$(find "$job/home" -type f)" ]
  printf '#!/bin/bash\n[ "$*" = "-a 256" ] && exec %q\n' "$(command -v sha256sum)" >"$job/few/shasum"
  chmod +x "$job/few/shasum"
  run -1 install_step PATH="$job/few" ORB_BASE_URL="$RELEASES/tampered"
  says 'it was removed and has not been run'
  run -0 install_step PATH="$job/few"
  says "installed $CLIENT"
}

# ---- join, and the later steps

@test "join: the next step logs in, and logout leaves nothing" {
  run -0 install_step
  run -0 join_step
  says 'bot          shop'
  run -0 user_step 'ssh -F "$GATEPASS_SSH_CONFIG" -p '"$PORT deploy@$HOST"' echo hello world'
  says 'hello world'
  run -0 user_step 'cat "$GATEPASS_KNOWN_HOSTS"; ls "$GATEPASS_IDENTITY_DIR"'
  says '@cert-authority' key-cert.pub
  run -0 logout_step
  [ ! -e .gatepass ]
  run -0 logout_step
  says 'nothing was joined'
}

@test "join: paths reach BASH_ENV, secrets don't" {
  run -0 install_step
  run -0 join_step
  [ "$(grep . "$job/bash_env" | cut -d = -f 1 | tr '\n' ' ')" = 'export PATH export GATEPASS_IDENTITY_DIR export GATEPASS_SSH_CONFIG export GATEPASS_KNOWN_HOSTS export GIT_SSH_COMMAND ' ]
  run -1 grep -E 'KEY-----|eyJ|AAAA' "$job/bash_env"
  [ "$(stat -c %a .gatepass)" = 700 ]
}

@test "join: minting fails twice, and goes on" {
  echo 2 >"$job/failures"
  run -0 install_step
  run -0 join_step TEST_MINT_FAILURES="$job/failures"
  [ "$(cat "$job/failures")" = 0 ]
}

@test "join: minting fails for good, and the job's own token is not taken instead" {
  echo 9 >"$job/failures"
  run -0 install_step
  run -1 join_step TEST_MINT_FAILURES="$job/failures"
  says 'circleci run oidc get failed 3 times'
  # That the folder can be written is found out before; nothing is in it.
  [ -z "$(find .gatepass -name 'key*' -o -name 'tls*')" ]
}

@test "join: without an audience the job's own token, which the rule refuses here" {
  run -0 install_step
  run -3 join_step ORB_AUDIENCE=''
  says id_token_wrong_audience
}

@test "join: no token and no audience" {
  run -0 install_step
  run -1 join_step ORB_AUDIENCE='' CIRCLE_OIDC_TOKEN_V2=''
  says 'no ID token' 'add a context to this job'
}

@test "join: server, token and audience from the environment" {
  run -0 install_step
  run -0 join_step ORB_SERVER='' ORB_TOKEN='' ORB_AUDIENCE='' GATEPASS_SERVER="$SERVER" GATEPASS_TOKEN=shop-deploy GATEPASS_AUDIENCE="$AUDIENCE"
}

@test "join: variables in parameters are expanded, commands are not" {
  recorder
  run -0 join_step ORB_TOKEN='rule-$NAME' ORB_DESTINATION='${HOME}/$(touch pwned)' NAME='a b$(touch pwned)'
  called_with join identity "--server=$SERVER" '--token=rule-a b$(touch pwned)' "--audience=$AUDIENCE" "--destination=$job/home/\$(touch pwned)"
}

@test "join: what cannot be expanded ends the step" {
  recorder
  run -1 join_step ORB_TOKEN='rule-${NAME'
  [ ! -e "$job/called" ]
}

@test "join: hostile parameters change nothing but the value" {
  recorder
  for end in '' "$newline"; do
    rm -f "$job/called"
    run -0 join_step ORB_SERVER="s$hostile$end" ORB_TOKEN="t$hostile$end" ORB_AUDIENCE="a$hostile$end" ORB_TTL="l$hostile$end" \
      ORB_DESTINATION="d$hostile$end" ORB_FLAGS="--first$hostile$newline--second=$hostile"
    called_with join identity "--server=s$hostile$end" "--token=t$hostile$end" "--audience=a$hostile$end" "--ttl=l$hostile$end" \
      "--destination=./d$hostile$end" "--first$hostile" "--second=$hostile"
    run -0 user_step 'printf "%s" "$GATEPASS_IDENTITY_DIR" >"$HOME/dir"; ssh() { printf "%s\n" "$@"; }; printf "%s\0" "$GATEPASS_SSH_CONFIG"'
    printf %s "$job/project/d$hostile$end" | cmp - "$job/home/dir"
  done
}

@test "join: plain parameters change nothing but the value" {
  recorder
  for plain in - . .. "a.$newline" "$newline" " $newline$newline." "-n" "-e \\t"; do
    rm -f "$job/called"
    run -0 join_step ORB_SERVER="$plain" ORB_TOKEN="$plain" ORB_AUDIENCE="" ORB_DESTINATION="x$plain" ORB_FLAGS="--x=."
    called_with join identity "--server=$plain" "--token=$plain" "--destination=./x$plain" --x=.
  done
}

@test "join: git finds its configuration in a directory of any name" {
  run -0 install_step
  run -0 join_step ORB_DESTINATION='it'\''s $(touch pwned) ; here'
  run user_step "GIT_SSH_VARIANT=ssh git ls-remote ssh://deploy@$HOST:$PORT/no"
  says 'does not appear to be a git repository'
}

@test "join: an output that is none" {
  recorder
  run -1 join_step ORB_OUTPUT="identity$newline--server=x"
  says 'the parameter output is none of'
  [ ! -e "$job/called" ]
}

@test "join: the other outputs tell their directory" {
  recorder
  run -0 join_step ORB_OUTPUT=kubernetes ORB_DESTINATION=k8s
  run -0 join_step ORB_OUTPUT=database ORB_DESTINATION=db
  run -0 user_step 'echo "$KUBECONFIG $GATEPASS_KUBERNETES_DIR $GATEPASS_DATABASE_DIR"'
  says "$job/project/k8s/kubeconfig.yaml $job/project/k8s $job/project/db"
}

@test "join: an empty destination is refused, and one that later steps cannot find" {
  recorder
  run -1 join_step ORB_DESTINATION=''
  says 'the parameter destination is empty'
  for uri in memory:// "file://$job/project/id"; do
    run -1 join_step ORB_DESTINATION="$uri"
    says 'the parameter destination is a URI'
  done
  [ ! -e "$job/called" ]
}

@test "join: a destination that cd has another meaning for" {
  run -0 install_step
  mkdir elsewhere
  run -0 join_step ORB_DESTINATION=- OLDPWD="$PWD/elsewhere" CDPATH="$PWD/elsewhere"
  run -0 user_step 'echo "$GATEPASS_IDENTITY_DIR"; ls "$GATEPASS_IDENTITY_DIR"'
  says "$job/project/-$newline" key-cert.pub
}

# ---- exec, ssh, copy

@test "exec: the command has credentials, its own umask, and nothing stays" {
  run -0 install_step
  run -0 exec_step ORB_COMMAND="umask; ssh -F \"\$GATEPASS_SSH_CONFIG\" -p $PORT deploy@$HOST echo hello world; test -z \"\$CIRCLE_OIDC_TOKEN_V2\""
  says "$(umask)" 'hello world'
  [ -z "$(ls -A)" ]
}

@test "exec: the command's status, and its first failure ends it" {
  run -0 install_step
  run -5 exec_step ORB_COMMAND="(exit 5)${newline}echo not reached"
  [[ $output != *'not reached'* ]]
  run -6 exec_step ORB_COMMAND='(exit 6) | cat'
}

@test "exec: hostile parameters change nothing but the value" {
  recorder
  run -0 exec_step ORB_SERVER="s$hostile" ORB_TOKEN="t$hostile$newline" ORB_AUDIENCE="a$hostile" ORB_TTL="l$hostile" \
    ORB_FLAGS="--x$hostile" ORB_COMMAND="c$hostile$newline"
  called_with exec "--server=s$hostile" "--token=t$hostile$newline" "--audience=a$hostile" "--ttl=l$hostile" "--x$hostile" \
    -- bash -eo pipefail -c "umask $(umask)${newline}c$hostile$newline"
}

@test "ssh: a command on a host, with nothing on the disk" {
  run -0 install_step
  run -0 ssh_step ORB_COMMAND='echo "hello $(echo world)"; id -un'
  says 'hello world' deploy
  [ -z "$(ls -A)" ]
  run -9 ssh_step ORB_COMMAND='exit 9'
}

@test "ssh: hostile parameters change nothing but the value" {
  recorder
  run -0 ssh_step ORB_SERVER="s$hostile" ORB_TOKEN="t$hostile" ORB_AUDIENCE="a$hostile" ORB_TTL="l$hostile" ORB_LOGIN="u$hostile" \
    ORB_FLAGS="--x$hostile" ORB_HOSTS="h$hostile$newline${newline}i" ORB_COMMAND="c$hostile$newline"
  called_with ssh "--server=s$hostile" "--token=t$hostile" "--audience=a$hostile" "--ttl=l$hostile" "--login=u$hostile" "--x$hostile" \
    "h$hostile" i -- "c$hostile$newline"
}

@test "ssh: hosts that are flags, and no hosts" {
  recorder
  run -1 ssh_step ORB_HOSTS="host$newline--insecure-ignore-host-key" ORB_COMMAND=true
  says 'looks like a flag'
  run -1 ssh_step ORB_HOSTS="$newline" ORB_COMMAND=true
  says 'the parameter hosts is empty'
  [ ! -e "$job/called" ]
}

@test "copy: a folder to a host" {
  run -0 install_step
  mkdir -p 'a folder'
  echo 'hello world' >"a folder/-page\$(touch pwned)"
  run -0 copy_step ORB_FROM='a folder/.' ORB_TO='to $(touch pwned)'
  run -0 ssh_step ORB_COMMAND="cat 'to \$(touch pwned)/-page\$(touch pwned)'; rm -r 'to \$(touch pwned)'"
  says 'hello world'
}

@test "copy: hostile parameters change nothing but the value" {
  recorder
  run -0 copy_step ORB_SERVER="s$hostile" ORB_TOKEN="t$hostile" ORB_AUDIENCE="a$hostile" ORB_TTL="l$hostile" ORB_LOGIN="u$hostile" \
    ORB_FLAGS="--x$hostile" ORB_HOSTS="h$hostile:22" ORB_FROM="-f$hostile$newline" ORB_TO="t$hostile$newline"
  called_with cp -r "--server=s$hostile" "--token=t$hostile" "--audience=a$hostile" "--ttl=l$hostile" "--login=u$hostile" "--x$hostile" \
    --port 22 -- "./-f$hostile$newline" "h$hostile:t$hostile$newline"
}

@test "copy: hosts with and without ports, and IPv6" {
  recorder
  run -0 copy_step ORB_SERVER='' ORB_TOKEN='' ORB_AUDIENCE='' ORB_FROM=/a ORB_TO=b ORB_HOSTS="me@one${newline}two:2222${newline}me@[::1]:22${newline}[::1]"
  called_with cp -r -- /a me@one:b cp -r --port 2222 -- /a two:b cp -r --port 22 -- /a 'me@[::1]:b' cp -r -- /a '[::1]:b'
}

# ---- logout

@test "logout: any name, and no client" {
  recorder
  mkdir "d$hostile$newline"
  run -0 logout_step ORB_DESTINATION="d$hostile$newline"
  called_with logout -- "d$hostile$newline"
  rm "$job/bin/gatepass"
  mkdir .gatepass # of the checkout
  run -0 logout_step
  says 'the client was not installed, so nothing was joined'
}

@test "logout: credentials that nothing removes are an error" {
  run -0 install_step
  run -0 join_step
  run -0 user_step 'echo "export MINE=mine" >"$BASH_ENV"'
  run -1 logout_step
  says 'there are credentials in .gatepass' 'add to that file with >>'
}

@test "logout: an empty destination is refused" {
  run -1 logout_step ORB_DESTINATION='$NO_SUCH_VARIABLE'
  says 'the parameter destination is empty'
}
