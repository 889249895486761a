// Command clientgo uses what gatepass writes for Kubernetes with Kubernetes' own
// client library. It is a module of its own: the library has nothing to do in the
// programs of this repository.
//
//	clientgo whoami KUBECONFIG     log in and print the user and groups that the cluster sees
//	clientgo validate < ANSWER     check the answer of an exec plugin against its schema
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	authentication "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientauthentication "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "whoami":
		return whoami(args[1])
	case len(args) == 1 && args[0] == "validate":
		return validate(os.Stdin)
	}
	return errors.New("usage: clientgo whoami KUBECONFIG | validate")
}

// whoami asks what `kubectl auth whoami` asks.
func whoami(kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := authentication.AddToScheme(scheme); err != nil {
		return err
	}
	config.APIPath = "/apis"
	config.GroupVersion = &authentication.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var review authentication.SelfSubjectReview
	err = client.Post().Resource("selfsubjectreviews").Body(&authentication.SelfSubjectReview{}).Do(ctx).Into(&review)
	if err != nil {
		return err
	}
	fmt.Println(review.Status.UserInfo.Username, strings.Join(review.Status.UserInfo.Groups, ","))
	return nil
}

// validate decodes strictly: a field that the schema does not have is an error.
func validate(in io.Reader) error {
	raw, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := clientauthentication.AddToScheme(scheme); err != nil {
		return err
	}
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	object, err := runtime.Decode(codecs.UniversalDeserializer(), raw)
	if err != nil {
		return err
	}
	credential, ok := object.(*clientauthentication.ExecCredential)
	if !ok || credential.Status == nil {
		return fmt.Errorf("decoded to %T without a status", object)
	}
	if credential.Status.ExpirationTimestamp == nil {
		return errors.New("there is no expirationTimestamp, so it would be used for ever")
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]bool{
		"token": credential.Status.Token != "", "certificate": credential.Status.ClientCertificateData != "" && credential.Status.ClientKeyData != "",
	})
}
