package rotation_test
import ("testing";"os";"fmt";"github.com/gatepass-ci/gatepass/internal/cert")
func TestZZ(t *testing.T){
 for n,steps := range map[string]string{"settled":"","announced":"begin","switched":"begin sign","past":"begin back begin sign finish"} {
  a,err:=walk(t,first(t,cert.SSHUser),steps); must(t,err); text,_:=a.Encode()
  os.WriteFile("testdata/fuzz/FuzzParse/"+n,[]byte(fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n",text)),0o644)
 }
 os.WriteFile("testdata/fuzz/FuzzParse/empty-key",[]byte("go test fuzz v1\n[]byte(\"{\\\"type\\\":\\\"ssh-user\\\",\\\"keys\\\":[{\\\"id\\\":\\\"a\\\",\\\"use\\\":\\\"signs\\\",\\\"public_key\\\":\\\"\\\"}]}\")\n"),0o644)
}
