package kms

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/wait"
)

// Tags of a key that a rotation made. The role of join may sign with a key by them,
// so that a new one needs no deployment.
const (
	TagStack     = "gatepass:stack"     // the stack's name
	TagAuthority = "gatepass:authority" // the authority's type
)

// KeyRing makes and retires the keys of a stack.
type KeyRing struct {
	// Client calls KMS with an administrator's rights.
	Client *awskms.Client
	Stack  string
	// Keys are the keys that the stack names, by id or ARN.
	Keys map[cert.Purpose]string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// foundFor is how long a key that a run was cut off from storing is found. Whoever may
// make keys in this account can make one that looks like ours in the end, and sign by it
// before that, so nobody shall be able to leave one for a rotation some day.
const foundFor = 15 * time.Minute

var _ authority.KeyRing = (*KeyRing)(nil)

// First implements authority.KeyRing.
func (r *KeyRing) First(ctx context.Context, p cert.Purpose) (string, crypto.PublicKey, error) {
	key := r.Keys[p]
	if key == "" {
		return "", nil, fmt.Errorf("authority %s: %w", p, authority.ErrNone)
	}
	public, err := publicKey(ctx, r.Client, key)
	if err != nil {
		return "", nil, fmt.Errorf("authority %s: %w", p, err)
	}
	return key, public, nil
}

// Make implements authority.KeyRing. The new key has the policy of the one that signs:
// whoever may sign with that, and nobody else, may sign with this.
func (r *KeyRing) Make(ctx context.Context, a authority.State) (string, crypto.PublicKey, error) {
	policy, err := r.policy(ctx, a.Signing().ID)
	if err != nil {
		return "", nil, err
	}
	key, err := r.find(ctx, a, policy)
	if err == nil && key == "" {
		key, err = r.create(ctx, a.Purpose, policy)
	}
	if err != nil {
		return "", nil, err
	}
	public, err := newPublicKey(ctx, r.Client, key)
	return key, public, err
}

// settleTries is how often a new key is asked for, a second apart.
const settleTries = 30

// newPublicKey reads the public half of a key that may have been made a moment ago:
// not every part of KMS knows it at once.
func newPublicKey(ctx context.Context, client *awskms.Client, key string) (crypto.PublicKey, error) {
	for try := 1; ; try++ {
		public, err := publicKey(ctx, client, key)
		if errorCode(err) != "NotFoundException" || try == settleTries {
			return public, err
		}
		if err := wait.For(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

func (r *KeyRing) create(ctx context.Context, p cert.Purpose, policy string) (string, error) {
	out, err := r.Client.CreateKey(ctx, &awskms.CreateKeyInput{
		KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify,
		Description: aws.String(fmt.Sprintf("Gatepass %s: the authority %s, made by a rotation", r.Stack, p)),
		Policy:      &policy, Tags: r.tags(p),
	})
	if err != nil {
		return "", fmt.Errorf("making a KMS key: %w", err)
	}
	return aws.ToString(out.KeyMetadata.Arn), nil
}

func (r *KeyRing) tags(p cert.Purpose) []types.Tag {
	return []types.Tag{
		{TagKey: aws.String(TagStack), TagValue: &r.Stack},
		{TagKey: aws.String(TagAuthority), TagValue: aws.String(string(p))},
	}
}

// policy is the policy of a key.
func (r *KeyRing) policy(ctx context.Context, key string) (string, error) {
	out, err := r.Client.GetKeyPolicy(ctx, &awskms.GetKeyPolicyInput{KeyId: &key, PolicyName: aws.String("default")})
	if err != nil {
		return "", fmt.Errorf("reading the policy of KMS key %s: %w", key, err)
	}
	return aws.ToString(out.Policy), nil
}

// concurrency is how many keys are looked at a time.
const concurrency = 8

// find returns a key that an earlier run made for this authority and did not come to
// store; empty if there is none.
func (r *KeyRing) find(ctx context.Context, a authority.State, policy string) (string, error) {
	// Who may not read tags at all would take every key for somebody else's.
	signing := a.Signing().ID
	if _, err := r.Client.ListResourceTags(ctx, &awskms.ListResourceTagsInput{KeyId: &signing}); err != nil {
		return "", fmt.Errorf("reading the tags of KMS key %s: %w", signing, err)
	}
	var all []string
	for pages := awskms.NewListKeysPaginator(r.Client, &awskms.ListKeysInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", fmt.Errorf("listing the KMS keys: %w", err)
		}
		for _, k := range page.Keys {
			all = append(all, aws.ToString(k.KeyArn))
		}
	}
	ours := make([]bool, len(all))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrency)
	for i, key := range all {
		if slices.ContainsFunc(a.Keys, func(k authority.Key) bool { return keyID(k.ID) == keyID(key) }) {
			continue
		}
		g.Go(func() (err error) {
			ours[i], err = r.fits(gctx, key, a.Purpose, policy)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	if i := slices.Index(ours, true); i >= 0 {
		return all[i], nil
	}
	return "", nil
}

// fits tells whether a key is one that create made. Tags alone do not say so: who
// may make keys in this account could have tagged one of which they know the
// private half, or by which they may sign.
func (r *KeyRing) fits(ctx context.Context, key string, p cert.Purpose, policy string) (bool, error) {
	tagged, err := r.tagged(ctx, key, p)
	if err != nil || !tagged {
		return false, err
	}
	described, err := r.Client.DescribeKey(ctx, &awskms.DescribeKeyInput{KeyId: &key})
	if err != nil {
		return false, fmt.Errorf("looking at KMS key %s: %w", key, err)
	}
	m := described.KeyMetadata
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	if now().Sub(aws.ToTime(m.CreationDate)) > foundFor || m.KeyState != types.KeyStateEnabled || m.Origin != types.OriginTypeAwsKms || aws.ToBool(m.MultiRegion) ||
		m.KeySpec != types.KeySpecEccNistP256 || m.KeyUsage != types.KeyUsageTypeSignVerify {
		return false, nil
	}
	has, err := r.policy(ctx, key)
	if err != nil || !samePolicy(has, policy) {
		return false, err
	}
	grants, err := r.Client.ListGrants(ctx, &awskms.ListGrantsInput{KeyId: &key})
	if err != nil {
		return false, fmt.Errorf("reading the grants of KMS key %s: %w", key, err)
	}
	return len(grants.Grants) == 0, nil
}

// tagged tells whether a key has the tags of an authority of this stack. A key whose
// policy does not let the account's administrators look is somebody else's.
func (r *KeyRing) tagged(ctx context.Context, key string, p cert.Purpose) (bool, error) {
	has := map[string]string{}
	for pages := awskms.NewListResourceTagsPaginator(r.Client, &awskms.ListResourceTagsInput{KeyId: &key}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if code := errorCode(err); code == "AccessDeniedException" || code == "NotFoundException" {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("reading the tags of KMS key %s: %w", key, err)
		}
		for _, tag := range page.Tags {
			has[aws.ToString(tag.TagKey)] = aws.ToString(tag.TagValue)
		}
	}
	return has[TagStack] == r.Stack && has[TagAuthority] == string(p), nil
}

// samePolicy compares policies by what they say.
func samePolicy(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// Retire implements authority.KeyRing: it disables the key, which can be undone.
func (r *KeyRing) Retire(ctx context.Context, id string) (string, error) {
	_, err := r.Client.DisableKey(ctx, &awskms.DisableKeyInput{KeyId: &id})
	switch errorCode(err) {
	case "KMSInvalidStateException", "NotFoundException": // its deletion is scheduled, or done
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("disabling KMS key %s: %w", id, err)
	}
	return id, nil
}

// errorCode is AWS's code of an error; empty if it has none.
func errorCode(err error) string {
	if apiErr, ok := errors.AsType[smithy.APIError](err); ok {
		return apiErr.ErrorCode()
	}
	return ""
}
